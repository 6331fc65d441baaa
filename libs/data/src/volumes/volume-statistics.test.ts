// Statistics of volumes whose numbers follow from how they were made.
import { statisticsOf } from './volume-statistics.ts';

const edge = 32;
/** A body of grey 200 in black air, with a square lung of grey 60 of `side` pixels. */
function volume(side: number) {
  const data = new Uint8Array(2 * edge * edge);
  for (let z = 0; z < 2; z++)
    for (let y = 0; y < edge; y++)
      for (let x = 0; x < edge; x++) {
        const inside = (from: number, to: number) => x >= from && x < to && y >= from && y < to;
        const value = inside(10, 10 + side) ? 60 : inside(4, 28) ? 200 : 0;
        data[(z * edge + y) * edge + x] = value;
      }
  return { depth: 2, height: edge, width: edge, data };
}

test('shares and mean of a body with a lung', () => {
  const found = statisticsOf(volume(10), { slices: 40, kept: 30, isMasked: false });
  expect(found).toMatchObject({ slices: 40, keptShare: 0.75, white: 0 });
  expect(found.black).toBeCloseTo(1 - 576 / 1024, 12);
  expect(found.mean).toBeCloseTo((100 * 60 + 476 * 200) / 1024, 9);
  expect(found.lung).toBeCloseTo(100 / 1024, 12);
});

test('where the lung is masked, everything above black is lung; white voxels are counted', () => {
  const { data, ...size } = volume(0);
  data.fill(255, 0, edge * edge);
  const found = statisticsOf({ ...size, data }, { slices: 0, kept: 0, isMasked: true });
  expect(found.white).toBe(0.5);
  expect(found.lung).toBeCloseTo((1024 + 576) / 2048, 12);
  expect(found.keptShare).toBe(0);
});
