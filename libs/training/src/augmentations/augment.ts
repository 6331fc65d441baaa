// Augmentation on the device: the draws are made outside the step and come in as tensors. Grey values stay whole.
import { randomStream } from '@ct-ensemble/core';
import tf, { type Tensor, type Tensor4D } from '@tensorflow/tfjs';
import { type Augmentation, imageAugmentations } from './index.ts';

/**
 * The draws of one batch by the names of the augmentations' inputs; an augmentation that the recipe leaves out is absent.
 * Each is [batch, draws, …] with one draw for a scan, or one for every plane.
 */
export type Draws = Record<string, Tensor>;

export interface DrawKey {
  seed: number;
  epoch: number;
  /** Names of the batch's scans: each scan's draw depends on seed, epoch and its name alone. */
  scans: readonly string[];
  /** Of the volumes: planes, pixels, pixels. */
  depth: number;
  height: number;
  width: number;
  /**
   * Planes of each view, where views show the same slices: plane i of a later view shows that of plane
   * floor(i · first / later) of the first and shares its draw. Default: one view.
   */
  views?: readonly number[] | undefined;
}

/** Draws the augmentation of one batch. */
export function drawAugmentation(augmentation: Augmentation, key: DrawKey): Draws {
  const { seed, epoch, scans, depth, height, width, views = [depth] } = key;
  const planes = augmentation.perSlice ? slicesOf(views) : [0];
  const draws = scans.map((scan) => {
    const random = randomStream({ seed, purpose: 'augment', epoch, sample: scan });
    const own = Array.from({ length: Math.max(...planes) + 1 }, () =>
      imageAugmentations.map((piece) => piece.draw(augmentation, random)),
    );
    return planes.map((plane) => own[plane]!);
  });
  const tensors = imageAugmentations.map((piece, i) => {
    const own = draws.map((row) => row.map((values) => values[i]));
    return piece.tensors(augmentation, own, { height, width });
  });
  return Object.assign({}, ...tensors) as Draws;
}

/** For every plane of the views, the plane of the first view that shows the same slice. */
function slicesOf(views: readonly number[]): number[] {
  const first = views[0]!;
  return views.flatMap((planes) =>
    Array.from({ length: planes }, (_, i) => Math.floor((i * first) / planes)),
  );
}

/**
 * Applies the augmentations of the registry, in its order, to whole volumes: those whose draws are given.
 *
 * @param volumes [batch, depth, height, width], grey values 0 … 255 as unsigned bytes or whole numbers
 * @param settings that the draws were made for
 * @returns [batch, height, width, depth], whole grey values 0 … 255, float32: slices are channels
 */
export function augment(volumes: Tensor, draws: Draws, settings: Partial<Augmentation> = {}): Tensor4D {
  const used = imageAugmentations.filter(({ inputs }) => inputs.some((name) => draws[name] !== undefined));
  const planes = used.length > 0 && draws[used[0]!.inputs[0]!]!.shape[1]! > 1;
  const x = tf.cast(planes ? volumes : tf.transpose(volumes, [0, 2, 3, 1]), 'float32') as Tensor4D;
  if (used.length === 0) return x;
  const parts = used.flatMap(({ inputs }) => inputs).map((name) => [name, tf.unstack(draws[name]!)] as const);
  const scans = tf.unstack(x).map((scan, i) => {
    const own = Object.fromEntries(parts.map(([name, tensors]) => [name, tensors[i]!]));
    const image = tf.expandDims(scan, planes ? 3 : 0) as Tensor4D;
    const result = used.reduce((x, piece) => piece.apply(x, own, settings), image);
    return planes ? tf.transpose(tf.squeeze(result, [3]), [1, 2, 0]) : tf.squeeze(result, [0]);
  });
  return tf.stack(scans) as Tensor4D;
}
