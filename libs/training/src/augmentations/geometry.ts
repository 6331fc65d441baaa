// Rotation and flips in one interpolation: the source coordinates of each pixel come in as whole numbers (turn.ts).
import { fields, type RandomStream } from '@ct-ensemble/core';
import { blendRows } from '@ct-ensemble/engine';
import tf, { type Tensor, type Tensor4D } from '@tensorflow/tfjs';
import { z } from 'zod';
import { divided, type ImageAugmentation, int, type SliceSize } from './augmentation.ts';
import { type Interpolation, sourcesOf, UNITS } from './turn.ts';

const { from0, probability, sequence } = fields;

interface Settings {
  rotate: number;
  flipHorizontal: number;
  flipVertical: readonly number[];
  interpolation?: Interpolation | undefined;
}

interface Draw {
  /** Degrees, counter-clockwise. */
  angle: number;
  mirrorX: boolean;
  mirrorY: boolean;
}

/**
 * `linear`: OpenCV's warpAffine, mirrored at the border pixel (BORDER_REFLECT_101); `nearest`: Pillow's rotate, black beyond
 * the border. Flips do not interpolate.
 */
export const geometry = {
  name: 'geometry',
  fields: {
    rotate: from0.default(0).describe('Rotation by an angle drawn from ±this, in degrees; 0: none.'),
    flipHorizontal: probability.default(0).describe('Probability of a horizontal flip.'),
    flipVertical: sequence(probability)
      .default([])
      .describe('Probability of each vertical flip, drawn one after the other.'),
    interpolation: z
      .enum(['linear', 'nearest'], 'must be linear or nearest')
      .optional()
      .describe('Of a rotation. linear, the default: mirrored at the border; nearest: black beyond it.'),
  },
  inputs: ['columns', 'rows'],
  draw({ rotate, flipHorizontal, flipVertical }: Settings, random: RandomStream): Draw {
    const chance = (probability: number) => random.uniform() < probability;
    return {
      angle: (2 * random.uniform() - 1) * rotate,
      mirrorX: chance(flipHorizontal),
      mirrorY: flipVertical.filter(chance).length % 2 === 1,
    };
  },
  tensors({ rotate, flipHorizontal, flipVertical, interpolation = 'linear' }, draws, size) {
    const turns = rotate > 0 || flipHorizontal > 0 || flipVertical.length > 0;
    return turns ? turnTensors(draws, { ...size, interpolation }) : undefined;
  },
  apply(image, { columns, rows }, { interpolation = 'linear' }) {
    const sources = tf.add(tf.expandDims(columns!, 2), tf.expandDims(rows!, 3)) as Tensor4D;
    return interpolation === 'linear' ? turnLinear(image, sources) : turnNearest(image, sources);
  },
} satisfies ImageAugmentation<Settings, Draw>;

/** The columns' and the rows' terms of the source x and y: [batch, draws, 2, width] and [batch, draws, 2, height], int32. */
function turnTensors(
  draws: readonly (readonly Draw[])[],
  slice: SliceSize & { interpolation: Interpolation },
) {
  const { height, width, interpolation } = slice;
  const [batch, planes] = [draws.length, draws[0]!.length];
  const columns = new Int32Array(batch * planes * 2 * width);
  const rows = new Int32Array(batch * planes * 2 * height);
  for (const [i, draw] of draws.flat().entries()) {
    const sources = sourcesOf({ ...draw, height, width }, interpolation);
    columns.set(sources.columns, i * 2 * width);
    rows.set(sources.rows, i * 2 * height);
  }
  return {
    columns: tf.tensor4d(columns, [batch, planes, 2, width], 'int32'),
    rows: tf.tensor4d(rows, [batch, planes, 2, height], 'int32'),
  };
}

/**
 * OpenCV's bilinear sum of four pixels with weights of 1/1024, rounded half up; mirrored at the border pixels.
 *
 * @param sources [draws, 2, height, width]: x and y in 1/1024 pixel
 */
function turnLinear(image: Tensor4D, sources: Tensor4D): Tensor4D {
  const [, height, width] = image.shape;
  const [x, y] = tf.unstack(divided(sources, UNITS.linear / 32), 1) as [Tensor, Tensor]; // in 1/32
  const [left, top] = [divided(x, 32), divided(y, 32)];
  const [right, bottom] = [tf.add(left, int(1)), tf.add(top, int(1))];
  const xs = [mirrored(left, width), mirrored(right, width)] as const;
  const ys = [mirrored(top, height), mirrored(bottom, height)].map((row) => tf.mul(row, int(width)));
  const share = (at: Tensor, pixel: Tensor) =>
    tf.mul(tf.cast(tf.sub(at, tf.mul(pixel, int(32))), 'float32'), 1 / 32);
  const [toRight, toBottom] = [share(x, left), share(y, top)];
  const [toLeft, toTop] = [tf.sub(1, toRight), tf.sub(1, toBottom)];
  const pixels = ys.flatMap((row) => xs.map((column) => tf.add(row, column)));
  const weights = [toTop, toBottom].flatMap((v) => [toLeft, toRight].map((h) => tf.mul(v, h)));
  return gathered(image, pixels, weights);
}

/**
 * Pillow's nearest pixel, black beyond the border.
 *
 * @param sources [draws, 2, height, width]: x and y in 1/65536 pixel
 */
function turnNearest(image: Tensor4D, sources: Tensor4D): Tensor4D {
  const [, height, width] = image.shape;
  const [x, y] = tf.unstack(divided(sources, UNITS.nearest), 1) as [Tensor, Tensor];
  const [column, row] = [clipped(x, width), clipped(y, height)];
  const isInside = tf.logicalAnd(tf.equal(x, column), tf.equal(y, row));
  const pixel = tf.add(tf.mul(row, int(width)), column);
  return gathered(image, [pixel], [tf.cast(isInside, 'float32')]);
}

/** Rounded sums of pixels of each draw's own image; pixels and weights: for each term [draws, height, width]. */
function gathered(image: Tensor4D, pixels: Tensor[], weights: Tensor[]): Tensor4D {
  const [draws, height, width, channels] = image.shape;
  const area = height * width;
  const first = tf.reshape(tf.range(0, draws * area, area, 'int32'), [draws, 1, 1]);
  const perTerm = [pixels.length, draws * area] as [number, number];
  const sums = blendRows({
    x: tf.reshape(image, [draws * area, channels]),
    rows: tf.reshape(tf.add(tf.stack(pixels), first), perTerm),
    weights: tf.reshape(tf.stack(weights), perTerm),
  });
  return tf.reshape(sums, [draws, height, width, channels]);
}

/** Mirrored into 0 … size − 1, the border pixels not repeated: BORDER_REFLECT_101. */
function mirrored(at: Tensor, size: number): Tensor {
  if (size === 1) return tf.zerosLike(at);
  const period = 2 * (size - 1);
  const phase = tf.sub(at, tf.mul(divided(at, period), int(period)));
  return tf.minimum(phase, tf.sub(int(period), phase));
}

const clipped = (at: Tensor, size: number) => tf.maximum(tf.minimum(at, int(size - 1)), int(0));
