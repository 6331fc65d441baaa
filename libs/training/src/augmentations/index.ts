// The augmentations that recipes can have, in the order in which they are drawn and applied.
import { fields } from '@ct-ensemble/core';
import { z } from 'zod';
import type { ImageAugmentation } from './augmentation.ts';
import { blur } from './blur.ts';
import { brightness } from './brightness.ts';
import { contrast } from './contrast.ts';
import { cutout } from './cutout.ts';
import { gain } from './gain.ts';
import { geometry } from './geometry.ts';
import { mixupField } from './mixup.ts';

const pieces = [geometry, blur, gain, brightness, contrast, cutout] as const;

export const imageAugmentations: readonly ImageAugmentation[] = pieces;

type FieldsOf<Pieces> = Pieces extends readonly [infer First extends { fields: object }, ...infer Rest]
  ? First['fields'] & FieldsOf<Rest>
  : unknown;

const imageFields = Object.assign({}, ...pieces.map((piece) => piece.fields)) as FieldsOf<typeof pieces>;

const schema = fields
  .mapping({
    ...imageFields,
    mixup: mixupField,
    perSlice: fields.flag
      .optional()
      .describe('A draw for every slice. Default: one for all slices of a scan.'),
  })
  .describe('`none` and every field left out: not applied.');

export const augmentationSchema = z.preprocess((value) => (value === 'none' ? {} : value), schema);

/** What is applied to the training scans; grey values are whole after each piece. */
export type Augmentation = z.infer<typeof schema>;
