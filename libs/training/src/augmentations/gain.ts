// Gains: multiplications of the grey values by fixed factors, albumentations' MultiplicativeNoise.
import { fields } from '@ct-ensemble/core';
import tf, { type Tensor, type Tensor4D } from '@tensorflow/tfjs';
import { type ImageAugmentation, perDraw, whereDrawn } from './augmentation.ts';
import { scaled } from './factor.ts';

const { above0, mapping, probability, sequence } = fields;

interface Settings {
  gain: readonly { factor: number; probability: number }[];
}

export const gain = {
  name: 'gain',
  fields: {
    gain: sequence(
      mapping({
        factor: above0.describe('Grey values are multiplied by this.'),
        probability: probability.describe('Probability that they are.'),
      }),
    )
      .default([])
      .describe('Gains, drawn one after the other, each by itself.'),
  },
  inputs: ['gain'],
  draw: ({ gain }, random) =>
    gain.map(({ factor, probability }) => (random.uniform() < probability ? factor : 1)),
  tensors: ({ gain }, draws) => (gain.length > 0 ? { gain: tf.tensor3d(draws as number[][][]) } : undefined),
  apply(image, { gain }) {
    const apart = (x: Tensor4D, factor: Tensor) =>
      whereDrawn(tf.notEqual(factor, 1), x, (grey) => scaled(grey, perDraw(factor)));
    return tf.unstack(gain!, 1).reduce<Tensor4D>(apart, image);
  },
} satisfies ImageAugmentation<Settings, number[]>;
