import { sampleSlices, type SamplingOptions } from './slice-choice.ts';

const sample = (options: Partial<SamplingOptions> & Pick<SamplingOptions, 'count' | 'views'>) =>
  sampleSlices({ sampling: 'nearest', secondView: 'shared', ...options });

test('shared views sample each by themselves: the second view shows every second slice of the first', () => {
  const slices = sample({ count: 100, views: [32, 16] });
  expect(slices.slice(32)).toEqual(slices.slice(0, 32).filter((_, i) => i % 2 === 0));
});

test('own views share no slice while there are enough, and both reach over the whole scan', () => {
  const slices = sample({ count: 96, views: [32, 16], secondView: 'own' });
  expect(new Set(slices).size).toBe(48);
  const [first, second] = [slices.slice(0, 32), slices.slice(32)];
  expect(first).toEqual([...first].sort((a, b) => a - b));
  expect(second).toEqual(Array.from({ length: 16 }, (_, i) => 6 * i + 4));
  expect(sample({ count: 3, views: [2, 1], secondView: 'own' })).toEqual([0, 1, 2]);
});

test('by area: the half with the most lung, as many slices from each stretch as it has of the lung', () => {
  const areas = [0, 0, 1, 1, 4, 4, 1, 1, 0, 0];
  const byArea = (views: number[]) => sample({ count: 10, views, sampling: 'lung-area', areas });
  // The half from 2 on: 1 1 4 4 1, of which the first two and the last are an eleventh each.
  expect(byArea([11])).toEqual([2, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6]);
  expect(byArea([1])).toEqual([4]);
  expect(sample({ count: 6, views: [3], sampling: 'lung-area', areas: new Array(6).fill(0) })).toEqual([
    0, 1, 2,
  ]);
  expect(sample({ count: 1, views: [3], sampling: 'lung-area', areas: [5] })).toEqual([0, 0, 0]);
});

describe('draws', () => {
  const drawsOf = (options: Parameters<typeof sample>[0], of: number) =>
    Array.from({ length: of }, (_, index) => sample({ ...options, draw: { index, of } }));

  test('by hand: floor((i + index / N) · count / depth); draw 0 is the plain sampling', () => {
    expect(drawsOf({ count: 100, views: [5] }, 4)).toEqual([
      [0, 20, 40, 60, 80],
      [5, 25, 45, 65, 85],
      [10, 30, 50, 70, 90],
      [15, 35, 55, 75, 95],
    ]);
    // 7 / 6, 21 / 6 and 35 / 6
    expect(sample({ count: 7, views: [3], draw: { index: 1, of: 2 } })).toEqual([1, 3, 5]);
    // A scan with as many slices as the volume has one draw only.
    expect(drawsOf({ count: 3, views: [3] }, 2)).toEqual([
      [0, 1, 2],
      [0, 1, 2],
    ]);
  });

  test('as many draws as slices lie between two of the plain volume show every slice once', () => {
    const slices = drawsOf({ count: 56, views: [8] }, 7).flat();
    expect(slices.sort((a, b) => a - b)).toEqual(Array.from({ length: 56 }, (_, i) => i));
  });

  test('every draw lies in the scan and in its order, and draw 0 is the plain sampling', () => {
    for (const secondView of ['shared', 'own'] as const)
      for (const views of [[1], [7], [32], [32, 16], [5, 9]])
        for (let count = 1; count <= 70; count++)
          for (const draws of [2, 5, 8]) {
            const drawn = drawsOf({ count, views, secondView }, draws);
            expect(drawn[0]).toEqual(sample({ count, views, secondView }));
            const isSound = (slices: number[]) =>
              slices.every((slice) => slice >= 0 && slice < count) &&
              slices.slice(1, views[0]).every((slice, i) => slice >= slices[i]!);
            expect(drawn.filter((slices) => !isSound(slices))).toEqual([]);
          }
  });

  test('two views: shared ones show the same slices in every draw, own ones share none', () => {
    for (const slices of drawsOf({ count: 100, views: [32, 16] }, 8))
      expect(slices.slice(32)).toEqual(slices.slice(0, 32).filter((_, i) => i % 2 === 0));
    const own = drawsOf({ count: 96, views: [32, 16], secondView: 'own' }, 2);
    const odd = Array.from({ length: 48 }, (_, i) => 2 * i + 1);
    expect([...own[1]!].sort((a, b) => a - b)).toEqual(odd);
  });
});
