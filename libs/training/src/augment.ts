// Augmentation on the device: the draws are made outside the step and come in as tensors. Grey values stay whole.
import { randomStream, type RandomStream } from '@ct-ensemble/core';
import { blendRows, onlyIf } from '@ct-ensemble/engine';
import tf, { type Scalar, type Tensor, type Tensor2D, type Tensor3D, type Tensor4D } from '@tensorflow/tfjs';
import type { Augmentation, FactorRange, Interpolation } from './options.ts';
import { sourcesOf, UNITS } from './turn.ts';

/** The draws of one batch; what the recipe leaves out is absent. `draws`: 1, or one for every plane. */
export type Draws = {
  /** [batch, draws, 2, width], int32: each column's part of the source's x and y; see turn.ts. */
  columns?: Tensor4D;
  /** [batch, draws, 2, height], int32: each row's part. */
  rows?: Tensor4D;
  /** [batch, draws]: 1 where it is blurred, else 0. */
  blur?: Tensor2D;
  /** [batch, gains, draws]: the factors; 1 where none was drawn, here and below. */
  gain?: Tensor3D;
  /** [batch, draws] */
  brightness?: Tensor2D;
  /** [batch, draws] */
  contrast?: Tensor2D;
};

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

/** What is drawn for a scan or a plane. */
interface Draw {
  angle: number;
  mirrorX: boolean;
  mirrorY: boolean;
  blur: number;
  gain: number[];
  brightness: number;
  contrast: number;
}

/** Draws the augmentation of one batch. */
export function drawAugmentation(augmentation: Augmentation, key: DrawKey): Draws {
  const { seed, epoch, scans, depth, height, width, views = [depth] } = key;
  const { rotate, flipHorizontal, flipVertical, interpolation = 'linear' } = augmentation;
  const planes = augmentation.perSlice ? slicesOf(views) : [0];
  const draws = scans.map((scan) => {
    const random = randomStream({ seed, purpose: 'augment', epoch, sample: scan });
    const own = Array.from({ length: Math.max(...planes) + 1 }, () => drawOne(augmentation, random));
    return planes.map((plane) => own[plane]!);
  });
  const perDraw = (value: (draw: Draw) => number) => tf.tensor2d(draws.map((row) => row.map(value)));
  const turns = rotate > 0 || flipHorizontal > 0 || flipVertical.length > 0;
  return {
    ...(turns && turnTensors(draws, { height, width, interpolation })),
    ...(augmentation.blur > 0 && { blur: perDraw(({ blur }) => blur) }),
    ...(augmentation.gain.length > 0 && {
      gain: tf.tensor3d(draws.map((row) => augmentation.gain.map((_, j) => row.map(({ gain }) => gain[j]!)))),
    }),
    ...(augmentation.brightness && { brightness: perDraw(({ brightness }) => brightness) }),
    ...(augmentation.contrast && { contrast: perDraw(({ contrast }) => contrast) }),
  };
}

/** For every plane of the views, the plane of the first view that shows the same slice. */
function slicesOf(views: readonly number[]): number[] {
  const first = views[0]!;
  return views.flatMap((planes) =>
    Array.from({ length: planes }, (_, i) => Math.floor((i * first) / planes)),
  );
}

function drawOne(augmentation: Augmentation, random: RandomStream): Draw {
  const { rotate, flipHorizontal, flipVertical } = augmentation;
  const chance = (probability: number) => random.uniform() < probability;
  const factor = (range: FactorRange | undefined) => {
    if (range === undefined || !chance(range.probability)) return 1;
    return range.from + (range.to - range.from) * random.uniform();
  };
  return {
    angle: (2 * random.uniform() - 1) * rotate,
    mirrorX: chance(flipHorizontal),
    mirrorY: flipVertical.filter(chance).length % 2 === 1,
    blur: chance(augmentation.blur) ? 1 : 0,
    gain: augmentation.gain.map((gain) => (chance(gain.probability) ? gain.factor : 1)),
    brightness: factor(augmentation.brightness),
    contrast: factor(augmentation.contrast),
  };
}

function turnTensors(
  draws: readonly (readonly Draw[])[],
  slice: { height: number; width: number; interpolation: Interpolation },
): Pick<Draws, 'columns' | 'rows'> {
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
 * Turns, flips, blurs and brightens whole volumes.
 *
 * @param volumes [batch, depth, height, width], grey values 0 … 255 as unsigned bytes or whole numbers
 * @param interpolation that the draws were made for
 * @returns [batch, height, width, depth], whole grey values 0 … 255, float32: slices are channels
 */
export function augment(volumes: Tensor, draws: Draws, interpolation: Interpolation = 'linear'): Tensor4D {
  const inputs = Object.values(draws) as Tensor[];
  const planes = (draws.columns?.shape[1] ?? inputs[0]?.shape.at(-1) ?? 1) > 1;
  const x = tf.cast(planes ? volumes : tf.transpose(volumes, [0, 2, 3, 1]), 'float32') as Tensor4D;
  if (inputs.length === 0) return x;
  const parts = Object.entries(draws).map(([name, tensor]) => [name, tf.unstack(tensor)] as const);
  const scans = tf.unstack(x).map((scan, i) => {
    const own = Object.fromEntries(parts.map(([name, tensors]) => [name, tensors[i]!]));
    const result = augmentScan(tf.expandDims(scan, planes ? 3 : 0), own as ScanDraws, interpolation);
    return planes ? tf.transpose(tf.squeeze(result, [3]), [1, 2, 0]) : tf.squeeze(result, [0]);
  });
  return tf.stack(scans) as Tensor4D;
}

/** One scan's part of each of Draws. */
interface ScanDraws {
  columns?: Tensor3D;
  rows?: Tensor3D;
  blur?: Tensor;
  gain?: Tensor2D;
  brightness?: Tensor;
  contrast?: Tensor;
}

/** @param image [draws, height, width, planes of a draw] */
function augmentScan(image: Tensor4D, draws: ScanDraws, interpolation: Interpolation): Tensor4D {
  const { columns, rows, blur, gain, brightness, contrast } = draws;
  const perDraw = (values: Tensor) => tf.reshape(values, [-1, 1, 1, 1]);
  const where = (drawn: Tensor, f: (x: Tensor4D) => Tensor4D) => onlyIf(tf.any(drawn) as Scalar, x, f);
  let x = image;
  if (columns && rows) {
    const sources = tf.add(tf.expandDims(columns, 2), tf.expandDims(rows, 3)) as Tensor4D;
    x = interpolation === 'linear' ? turnLinear(x, sources) : turnNearest(x, sources);
  }
  if (blur) {
    const drawn = tf.greater(blur, 0);
    x = where(drawn, (grey) => tf.where(perDraw(drawn), boxBlur(grey), grey));
  }
  for (const factor of [...(gain ? tf.unstack(gain) : []), ...(brightness ? [brightness] : [])]) {
    x = where(tf.notEqual(factor, 1), (grey) => scaled(grey, perDraw(factor)));
  }
  if (contrast) x = where(tf.notEqual(contrast, 1), (grey) => spread(grey, perDraw(contrast)));
  return x;
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
const int = (value: number) => tf.scalar(value, 'int32');
/** Whole numbers divided, rounded down. */
const divided = (at: Tensor, by: number) => tf.floorDiv(at, int(by));

/** Mean of 3×3, rounded; mirrored at the border pixels. */
function boxBlur(grey: Tensor4D): Tensor4D {
  const padded = tf.mirrorPad(grey, [[0, 0], [1, 1], [1, 1], [0, 0]], 'reflect'); // prettier-ignore
  return tf.floor(tf.add(tf.avgPool(padded, 3, 1, 'valid'), 0.5)); // a ninth is never one half
}

/** Cut at white, the rest of the fraction dropped: albumentations' gain and Pillow's brightness. */
function scaled(grey: Tensor4D, factor: Tensor): Tensor4D {
  return tf.floor(tf.minimum(tf.mul(grey, factor), 255));
}

/** Pillow's contrast: the distance from the slice's mean, itself rounded to a whole number, times the factor. */
function spread(grey: Tensor4D, factor: Tensor): Tensor4D {
  const area = grey.shape[1] * grey.shape[2];
  const sum = tf.sum(tf.cast(grey, 'int32'), [1, 2], true);
  const mean = tf.cast(divided(tf.add(tf.mul(sum, int(2)), int(area)), 2 * area), 'float32');
  return tf.floor(tf.clipByValue(tf.add(tf.mul(tf.sub(grey, mean), factor), mean), 0, 255));
}
