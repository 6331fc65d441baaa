// The checks of a new scan against the training scans.
import { manifestOf } from './ensemble-file.fixture.ts';
import { rangesOf, unlikeTraining } from './likeness.ts';

const like = { slices: 40, keptShare: 0.5, mean: 100, black: 0.5, white: 0.5, lung: 0.5 };
const { training } = manifestOf([]);

test('ranges are the smallest and the greatest number', () => {
  const ranges = rangesOf([like, { ...like, slices: 12, lung: 0.9 }]);
  expect(ranges.slices).toEqual({ min: 12, max: 40 });
  expect(ranges.lung).toEqual({ min: 0.5, max: 0.9 });
});

test('a tenth of the range beyond its ends is still like the training scans, more is not', () => {
  const messages = (slices: number) =>
    unlikeTraining({ statistics: { ...like, slices }, findings: [] }, training).map(({ message }) => message);
  for (const slices of [28, 30, 50, 52]) expect(messages(slices)).toEqual([]);
  for (const slices of [27, 53])
    expect(messages(slices)).toEqual([
      `the number of slices is ${slices}; in the 8 training scans it is 30 to 50`,
    ]);
});

test('values that were read otherwise than in any training scan are a finding', () => {
  const findings = [{ kind: 'grey-volume', path: 'a.nii', message: '' }];
  const found = unlikeTraining({ statistics: like, findings }, training);
  expect(found.map(({ message }) => message)).toEqual([
    'its values were read as grey values, those of no training scan were',
  ]);
  expect(
    unlikeTraining({ statistics: like, findings }, { ...training, valueFindings: ['grey-volume'] }),
  ).toEqual([]);
});
