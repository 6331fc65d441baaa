import { readFileSync } from 'node:fs';
import { masked, withBorder } from './masking.ts';

const { cases } = JSON.parse(readFileSync(new URL('../fixtures/masks.json', import.meta.url), 'utf8')) as {
  cases: { edge: number; mask: string[]; dilated: string[]; overflow: string[] }[];
};
const imageOf = (rows: readonly string[]) => ({
  height: rows.length,
  width: rows[0]!.length,
  data: Uint8Array.from(rows.join(''), Number),
});

test.each(cases)("the border of a mask is OpenCV's ($edge × $edge)", ({ edge, mask, ...expected }) => {
  for (const kind of ['dilated', 'overflow'] as const)
    expect(withBorder(imageOf(mask), { dilate: edge, edge: kind })).toEqual(imageOf(expected[kind]));
});

test('without dilation a mask stays as it is', () => {
  expect(withBorder(imageOf(['0110']), { dilate: 1 })).toEqual(imageOf(['0110']));
});

test("a mask of another size is brought to the slice's by its nearest pixels", () => {
  const slice = imageOf(['123456', '123456', '123456']);
  expect(masked(slice, imageOf(['101']))).toEqual(imageOf(['120056', '120056', '120056']));
});
