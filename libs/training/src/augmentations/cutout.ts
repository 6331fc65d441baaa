// Cutout (DeVries and Taylor 2017): a black square about a pixel drawn in each slice, cut off at the border.
import { fields } from '@ct-ensemble/core';
import tf, { type Tensor, type Tensor4D } from '@tensorflow/tfjs';
import { z } from 'zod';
import { type ImageAugmentation, perDraw, whereDrawn } from './augmentation.ts';

const { mapping, probability } = fields;
const rule = 'must be a share of the slice, above 0 and at most 1';

const schema = mapping({
  size: z
    .number(rule)
    .gt(0, rule)
    .max(1, rule)
    .describe("Edge of the square as a share of the slice's edges."),
  probability: probability.describe('Probability of a square.'),
});

interface Settings {
  cutout?: z.infer<typeof schema> | undefined;
}

/** The pixel in the middle of the square, as shares of width and height; undefined: no square. */
type Draw = { x: number; y: number } | undefined;

export const cutout = {
  name: 'cutout',
  fields: { cutout: schema.optional().describe('A black square.') },
  inputs: ['cutout'],
  draw({ cutout }, random) {
    if (cutout === undefined || random.uniform() >= cutout.probability) return undefined;
    return { x: random.uniform(), y: random.uniform() };
  },
  /** [batch, draws, 4]: the first column and row of the square, and those after its last; all 0 for none. */
  tensors({ cutout }, draws, { height, width }) {
    if (cutout === undefined) return undefined;
    const edges = ([x, y]: [number, number]) => {
      const [w, h] = [Math.round(cutout.size * width), Math.round(cutout.size * height)];
      const [left, top] = [Math.floor(x * width) - (w >> 1), Math.floor(y * height) - (h >> 1)];
      return [left, top, left + w, top + h];
    };
    const rows = draws.map((row) => row.map((draw) => (draw ? edges([draw.x, draw.y]) : [0, 0, 0, 0])));
    return { cutout: tf.tensor3d(rows) };
  },
  apply(image, { cutout }) {
    const [, height, width] = image.shape;
    const [left, top, right, bottom] = tf.unstack(cutout!, 1).map(perDraw) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    const between = (at: Tensor, [from, to]: [Tensor, Tensor]) =>
      tf.logicalAnd(tf.greaterEqual(at, from), tf.less(at, to));
    return whereDrawn(tf.greater(tf.sub(right, left), 0), image, (grey) => {
      const columns = between(tf.reshape(tf.range(0, width), [1, 1, width, 1]), [left, right]);
      const rows = between(tf.reshape(tf.range(0, height), [1, height, 1, 1]), [top, bottom]);
      const isInside = tf.cast(tf.logicalAnd(columns, rows), 'float32');
      return tf.mul(grey, tf.sub(1, isInside)) as Tensor4D;
    });
  },
} satisfies ImageAugmentation<Settings, Draw>;
