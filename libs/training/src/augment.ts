// Augmentation on the device: the draws are made outside the step and come in as tensors.
import { randomStream } from '@ct-ensemble/core';
import tf, { type Tensor1D, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';
import type { Augmentation } from './options.ts';

/** The draws of one batch; what the recipe leaves out is absent. */
export type Draws = {
  /** [batch, 8]: for each scan, the projective transform from output to input pixels (see tf.image.transform). */
  transforms?: Tensor2D;
  /** [batch]: 1 where the scan is blurred, else 0. */
  blur?: Tensor1D;
  /** [batch]: the factor of the grey values. */
  gain?: Tensor1D;
};

export interface DrawKey {
  seed: number;
  epoch: number;
  /** Names of the batch's scans: each scan's draw depends on seed, epoch and its name alone. */
  scans: readonly string[];
  /** Of the volumes, in pixels. */
  height: number;
  width: number;
}

/** Draws the augmentation of one batch. */
export function drawAugmentation(augmentation: Augmentation, key: DrawKey): Draws {
  const { seed, epoch, scans, height, width } = key;
  const { rotate, flipHorizontal, flipVertical } = augmentation;
  const draws = scans.map((scan) => {
    const random = randomStream({ seed, purpose: 'augment', epoch, sample: scan });
    const angle = ((2 * random.uniform() - 1) * rotate * Math.PI) / 180;
    const mirrorX = random.uniform() < flipHorizontal;
    const mirrorY = flipVertical.filter((probability) => random.uniform() < probability).length % 2 === 1;
    const blur = random.uniform() < augmentation.blur ? 1 : 0;
    const factors = augmentation.gain.filter(({ probability }) => random.uniform() < probability);
    const gain = factors.reduce((product, { factor }) => product * factor, 1);
    return { transform: transformOf({ angle, mirrorX, mirrorY, height, width }), blur, gain };
  });
  const turns = rotate > 0 || flipHorizontal > 0 || flipVertical.length > 0;
  return {
    ...(turns && { transforms: tf.tensor2d(draws.map(({ transform }) => transform)) }),
    ...(augmentation.blur > 0 && { blur: tf.tensor1d(draws.map(({ blur }) => blur)) }),
    ...(augmentation.gain.length > 0 && { gain: tf.tensor1d(draws.map(({ gain }) => gain)) }),
  };
}

/** Rotation by `angle` about the centre, then the flips, as the eight numbers that tf.image.transform takes. */
export function transformOf(turn: {
  angle: number;
  mirrorX: boolean;
  mirrorY: boolean;
  height: number;
  width: number;
}): number[] {
  const cos = Math.cos(turn.angle);
  const sin = Math.sin(turn.angle);
  const x = (turn.width - 1) / 2;
  const y = (turn.height - 1) / 2;
  const sx = turn.mirrorX ? -1 : 1;
  const sy = turn.mirrorY ? -1 : 1;
  // input = R⁻¹ · F · (output − centre) + centre
  const [a, b, c, d] = [cos * sx, -sin * sy, sin * sx, cos * sy];
  return [a, b, x - a * x - b * y, c, d, y - c * x - d * y, 0, 0];
}

/**
 * Turns, flips, blurs and brightens whole volumes.
 *
 * @param volumes [batch, height, width, depth], grey values 0 … 255, float32
 */
export function augment(volumes: Tensor4D, { transforms, blur, gain }: Draws): Tensor4D {
  const perScan = (values: Tensor1D) => tf.reshape(values, [-1, 1, 1, 1]);
  let x: Tensor4D = volumes;
  if (transforms) x = tf.image.transform(x, transforms, 'bilinear', 'reflect');
  if (blur) x = tf.add(x, tf.mul(tf.sub(tf.avgPool(x, 3, 1, 'same'), x), perScan(blur)));
  if (gain) x = tf.clipByValue(tf.mul(x, perScan(gain)), 0, 255);
  return x;
}
