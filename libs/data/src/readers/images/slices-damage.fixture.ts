// Damaged JPEG and PNG files for tests, and how the decoder takes them.
import { randomStream } from '@ct-ensemble/core';
import sharp from 'sharp';
import { costOf, damaged, DAMAGES } from '../../testing/damage.fixture.ts';
import { decodeSlice } from './slices.ts';

/**
 * Decodes `count` damaged files: JPEG, PNG, progressive colour JPEG and palette PNG. Every 24 of them have every kind
 * of damage in every format once. Fails the test unless the result is a whole image or an error with a reason.
 * Returns how many were read and refused, the largest image in pixels, and the cost.
 */
export async function countDamagedSlices(count: number) {
  const random = randomStream({ seed: 1, purpose: 'grey values' });
  const grey = Uint8Array.from({ length: 96 * 80 }, () => random.integer(256));
  const image = sharp(grey, { raw: { width: 96, height: 80, channels: 1 } });
  const files = [
    await image.clone().toColourspace('b-w').jpeg().toBuffer(),
    await image.clone().toColourspace('b-w').png().toBuffer(),
    await image.clone().jpeg({ progressive: true }).toBuffer(),
    await image.clone().png({ palette: true }).toBuffer(),
  ];
  const outcomes = { read: 0, refused: 0 };
  let largest = 0;
  const cost = await costOf(
    (function* () {
      for (let seed = 0; seed < count; seed++)
        yield async () => {
          const file = files[Math.floor(seed / DAMAGES.length) % files.length]!;
          const bytes = damaged(file, { seed, kind: DAMAGES[seed % DAMAGES.length]! });
          try {
            const { width, height, data } = (await decodeSlice(bytes)).image;
            expect(data.length).toBe(width * height);
            largest = Math.max(largest, data.length);
            outcomes.read++;
          } catch (error) {
            expect((error as Error).message).toMatch(/\w{3}/);
            outcomes.refused++;
          }
        };
    })(),
  );
  return { ...outcomes, largest, ...cost };
}
