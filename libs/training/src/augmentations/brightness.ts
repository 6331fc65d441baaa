// Brightness, as Pillow's ImageEnhance.Brightness changes it.
import tf from '@tensorflow/tfjs';
import { type ImageAugmentation, perDraw, tensorOfDraws, whereDrawn } from './augmentation.ts';
import { drawFactor, type FactorRange, factorSchema, scaled } from './factor.ts';

interface Settings {
  brightness?: FactorRange | undefined;
}

export const brightness = {
  name: 'brightness',
  fields: { brightness: factorSchema.optional().describe('Grey values are multiplied by a factor.') },
  inputs: ['brightness'],
  draw: ({ brightness }, random) => drawFactor(brightness, random),
  tensors: ({ brightness }, draws) =>
    brightness ? { brightness: tensorOfDraws(draws, (factor) => factor) } : undefined,
  apply: (image, { brightness }) =>
    whereDrawn(tf.notEqual(brightness!, 1), image, (grey) => scaled(grey, perDraw(brightness!))),
} satisfies ImageAugmentation<Settings, number>;
