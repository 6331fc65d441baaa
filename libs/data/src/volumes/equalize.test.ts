// Against what cv2.equalizeHist gave: fixtures/make-fixtures.py.
import { readJson } from '@ct-ensemble/core';
import { fileURLToPath } from 'node:url';
import { equalizeHistogram } from './equalize.ts';

interface Recorded {
  images: { height: number; width: number; before: string; after: string }[];
}
const file = fileURLToPath(new URL('../fixtures/equalized.json', import.meta.url));
const { images } = (await readJson(file)) as Recorded;

test('every image comes out as from OpenCV', () => {
  expect(images).toHaveLength(30);
  for (const { height, width, before, after } of images) {
    const image = { height, width, data: new Uint8Array(Buffer.from(before, 'base64')) };
    const equalized = equalizeHistogram(image);
    expect(Buffer.from(equalized.data).toString('base64')).toBe(after);
    expect(Buffer.from(image.data).toString('base64')).toBe(before);
  }
});
