// A 3×3 box blur, OpenCV's.
import { fields } from '@ct-ensemble/core';
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import { type ImageAugmentation, perDraw, tensorOfDraws, whereDrawn } from './augmentation.ts';

interface Settings {
  blur: number;
}

export const blur = {
  name: 'blur',
  fields: { blur: fields.probability.default(0).describe('Probability of a 3×3 box blur.') },
  inputs: ['blur'],
  draw: ({ blur }, random) => random.uniform() < blur,
  tensors: ({ blur }, draws) =>
    blur > 0 ? { blur: tensorOfDraws(draws, (isBlurred) => (isBlurred ? 1 : 0)) } : undefined,
  apply(image, { blur }) {
    const isDrawn = tf.greater(blur!, 0);
    return whereDrawn(isDrawn, image, (grey) => tf.where(perDraw(isDrawn), boxBlur(grey), grey));
  },
} satisfies ImageAugmentation<Settings, boolean>;

/** Mean of 3×3, rounded; mirrored at the border pixels. */
function boxBlur(grey: Tensor4D): Tensor4D {
  const padded = tf.mirrorPad(grey, [[0, 0], [1, 1], [1, 1], [0, 0]], 'reflect'); // prettier-ignore
  return tf.floor(tf.add(tf.avgPool(padded, 3, 1, 'valid'), 0.5)); // a ninth is never one half
}
