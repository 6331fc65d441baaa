import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { readJson } from '@ct-ensemble/core';
import { nearestIndices } from './volume.ts';

const file = fileURLToPath(new URL('../fixtures/nearest.json', import.meta.url));
const recorded = (await readJson(file)) as { sha256: Record<string, string> };

test('hand-worked lists', () => {
  expect(nearestIndices(4, 4)).toEqual([0, 1, 2, 3]);
  expect(nearestIndices(10, 4)).toEqual([0, 2, 5, 7]); // 0, 2.5, 5, 7.5
  expect(nearestIndices(3, 8)).toEqual([0, 0, 0, 1, 1, 1, 2, 2]); // 0, .375, .75, 1.125, 1.5, 1.875, 2.25, 2.625
  expect(nearestIndices(1, 3)).toEqual([0, 0, 0]);
  expect(nearestIndices(700, 2)).toEqual([0, 350]);
});

test('element i is the greatest s with s · to ≤ i · from, in whole numbers', () => {
  const wrong: number[][] = [];
  for (let from = 1; from <= 130; from++)
    for (const to of [1, 7, 16, 32, 64, 100])
      for (const [i, source] of nearestIndices(from, to).entries()) {
        const isGreatest = source * to <= i * from && (source + 1) * to > i * from;
        if (!isGreatest || source >= from) wrong.push([from, to, i, source]);
      }
  expect(wrong).toEqual([]);
});

test('the 16-slice view is every second slice of the 32-slice view', () => {
  for (const from of [5, 31, 64, 333])
    expect(nearestIndices(from, 16)).toEqual(nearestIndices(from, 32).filter((_, i) => i % 2 === 0));
});

// fixtures/make-fixtures.py
test.each(Object.entries(recorded.sha256))('to %s slices as PyTorch, from 1 to 800', (to, sha256) => {
  const hash = createHash('sha256');
  for (let from = 1; from <= 800; from++) {
    hash.update(new Uint8Array(Int32Array.from(nearestIndices(from, Number(to))).buffer));
  }
  expect(hash.digest('hex')).toBe(sha256);
});
