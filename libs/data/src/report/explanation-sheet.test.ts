import sharp from 'sharp';
import { drawExplanation, type ExplanationSheet, heatColour, overlaid } from './explanation-sheet.ts';
import type { GreyImage } from '../scan.ts';

const flat = (value: number, edge: number): GreyImage => ({
  height: edge,
  width: edge,
  data: new Uint8Array(edge * edge).fill(value),
});

const sheetOf = (map: GreyImage): ExplanationSheet => ({
  lines: ['val/covid/ct_scan_1', 'covid'],
  rows: ['the map'],
  slices: [{ lines: ['slice 3', '3.jpg'], image: flat(100, 48), maps: [map] }],
  scale: { least: '0', most: '0.5' },
});

/** How many pixels of the sheet have this colour. */
async function pixelsOf(sheet: ExplanationSheet, colour: readonly number[]) {
  const { data } = await sharp(await drawExplanation(sheet)).raw().toBuffer({ resolveWithObject: true }); // prettier-ignore
  let count = 0;
  for (let i = 0; i < data.length; i += 3)
    if (colour.every((value, channel) => data[i + channel] === value)) count++;
  return count;
}

test('the colours begin and end as those of inferno, and become lighter all the way', () => {
  expect(heatColour(0)).toEqual([0, 0, 4]);
  expect(heatColour(1)).toEqual([252, 255, 164]);
  expect(heatColour(-1)).toEqual(heatColour(0));
  const lightness = Array.from({ length: 101 }, (_, i) => {
    const [red, green, blue] = heatColour(i / 100);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  });
  for (const [i, value] of lightness.entries()) if (i > 0) expect(value).toBeGreaterThan(lightness[i - 1]!);
});

test('where the map is 0 the slice is grey; where it is greatest, 65 % of the colour lie over it', async () => {
  expect(overlaid(100, 0)).toEqual([100, 100, 100]);
  expect(overlaid(100, 1)).toEqual([252, 255, 164].map((colour) => Math.round(35 + 0.65 * colour)));
  expect(await pixelsOf(sheetOf(flat(0, 2)), [100, 100, 100])).toBe(2 * 224 * 224);
  const lit = sheetOf(flat(255, 2));
  expect(await pixelsOf(lit, [100, 100, 100])).toBe(224 * 224);
  expect(await pixelsOf(lit, overlaid(100, 1))).toBe(224 * 224);
});

test('the same sheet gives the same bytes', async () => {
  const [first, second] = [await drawExplanation(sheetOf(flat(9, 3))), await drawExplanation(sheetOf(flat(9, 3)))]; // prettier-ignore
  expect(Buffer.compare(first, second)).toBe(0);
});
