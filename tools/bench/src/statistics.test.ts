import { median, quantile } from './statistics.ts';

test('medians of odd and even counts, in any order', () => {
  expect(median([3, 1, 10])).toBe(3);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([7])).toBe(7);
});

test('quartiles as numpy.quantile gives them', () => {
  // numpy.quantile([1, 2, 3, 4, 10], [0.25, 0.75]) and of [1, 2, 3, 4]
  expect([0.25, 0.75].map((share) => quantile([10, 4, 1, 3, 2], share))).toEqual([2, 4]);
  expect([0.25, 0.75].map((share) => quantile([1, 2, 3, 4], share))).toEqual([1.75, 3.25]);
  expect([0, 1].map((share) => quantile([5, -1, 2], share))).toEqual([-1, 5]);
});

test('a quantile needs a value', () => expect(() => median([])).toThrow('no values'));
