// Contrast, as Pillow's ImageEnhance.Contrast changes it, about each slice's own mean.
import tf, { type Tensor, type Tensor4D } from '@tensorflow/tfjs';
import { divided, type ImageAugmentation, int, perDraw, tensorOfDraws, whereDrawn } from './augmentation.ts';
import { drawFactor, type FactorRange, factorSchema } from './factor.ts';

interface Settings {
  contrast?: FactorRange | undefined;
}

export const contrast = {
  name: 'contrast',
  fields: {
    contrast: factorSchema.optional().describe("Distances from the slice's mean are multiplied by a factor."),
  },
  inputs: ['contrast'],
  draw: ({ contrast }, random) => drawFactor(contrast, random),
  tensors: ({ contrast }, draws) =>
    contrast ? { contrast: tensorOfDraws(draws, (factor) => factor) } : undefined,
  apply: (image, { contrast }) =>
    whereDrawn(tf.notEqual(contrast!, 1), image, (grey) => spread(grey, perDraw(contrast!))),
} satisfies ImageAugmentation<Settings, number>;

/** Pillow's contrast: the distance from the slice's mean, itself rounded to a whole number, times the factor. */
function spread(grey: Tensor4D, factor: Tensor): Tensor4D {
  const area = grey.shape[1] * grey.shape[2];
  const sum = tf.sum(tf.cast(grey, 'int32'), [1, 2], true);
  const mean = tf.cast(divided(tf.add(tf.mul(sum, int(2)), int(area)), 2 * area), 'float32');
  return tf.floor(tf.clipByValue(tf.add(tf.mul(tf.sub(grey, mean), factor), mean), 0, 255));
}
