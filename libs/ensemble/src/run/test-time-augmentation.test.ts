import { augmentationName, augmentationOf, parseAugmentation } from './test-time-augmentation.ts';

test.each([
  ['flips', { flips: true, draws: 1 }, 'flips'],
  ['slices:4', { flips: false, draws: 4 }, 'slices:4'],
  ['flips,slices:8', { flips: true, draws: 8 }, 'flips,slices:8'],
  ['slices:2, flips', { flips: true, draws: 2 }, 'flips,slices:2'],
])('%s', (text, augmentation, name) => {
  expect(parseAugmentation(text)).toEqual(augmentation);
  expect(augmentationName(augmentation)).toBe(name);
});

test.each([
  ['flip', /"flip" is no test-time augmentation; there are flips and slices:N/],
  ['', /"" is no test-time augmentation/],
  ['slices', /"slices" is no/],
  ['slices:2.5', /"slices:2\.5" is no/],
  ['slices:1', /slices:1: the number of draws must be from 2 to 8/],
  ['slices:9', /from 2 to 8/],
  ['flips,flips', /flips is named twice/],
  ['slices:2,slices:3', /slices is named twice/],
])('"%s" is refused', (text, message) => {
  expect(() => parseAugmentation(text)).toThrow(message);
});

test('a file with augmentation that names none was made with flips', () => {
  expect(augmentationOf({})).toBe('flips');
  expect(augmentationOf({ augmentation: 'slices:2' })).toBe('slices:2');
});
