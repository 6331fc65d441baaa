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
