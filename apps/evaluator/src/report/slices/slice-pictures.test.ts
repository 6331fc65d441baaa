import { UserError } from '@ct-ensemble/core';
import sharp from 'sharp';
import { slicePictures } from './slice-pictures.ts';

/** A volume of 16 slices of 20 × 40 pixels; slice i has the grey value 15·i. */
const volume = {
  depth: 16,
  height: 20,
  width: 40,
  data: Uint8Array.from({ length: 16 * 800 }, (_, at) => 15 * Math.floor(at / 800)),
};
const store = {
  read: async (key: string) => {
    if (key === 'key') return volume;
    throw new UserError('not in the store');
  },
};
const volumes = new Map([
  ['a', 'key'],
  ['b', 'lost'],
]);

test('four slices from apex to base, in their proportions; scans without a volume are listed', async () => {
  const { pictures, missing } = await slicePictures(['a', 'b', 'c', 'a'], { store, volumes, depth: 8 });
  expect([[...pictures.keys()], missing]).toEqual([['a'], ['b', 'c']]);
  const { bytes, width, height, shows, mediaType } = pictures.get('a')!;
  expect([width, height, shows, mediaType]).toEqual([224, 224, 'slices 2, 4, 6 and 8 of 8', 'image/jpeg']);
  const { data, info } = await sharp(bytes).greyscale().raw().toBuffer({ resolveWithObject: true });
  const at = (x: number, y: number) => data[(y * info.width + x) * info.channels]!;
  const centres = [at(56, 56), at(168, 56), at(56, 168), at(168, 168)];
  [15, 45, 75, 105].forEach((grey, i) => expect(Math.abs(centres[i]! - grey)).toBeLessThan(4));
  expect(at(56, 10)).toBeLessThan(6); // above a slice that is twice as wide as high
});
