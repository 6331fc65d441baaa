// The numbers of an answer, compared with closed forms.
import { manifestOf } from '../ensemble-file/ensemble-file.fixture.ts';
import { numbersOf } from './answers.ts';

const manifest = manifestOf([]);

test('mean, spread, entropies and the conformal set of two members', () => {
  const answer = numbersOf([[0.75, 0.25], [0.25, 0.75]], manifest, 0.1); // prettier-ignore
  expect(answer.probabilities).toEqual([0.5, 0.5]);
  expect(answer.predicted).toBe('non-covid'); // of equals the first
  expect(answer.spread).toEqual({ min: [0.25, 0.25], max: [0.75, 0.75], sd: [0.25, 0.25] });
  expect(answer.entropy).toBeCloseTo(Math.LN2, 12);
  const each = -(0.75 * Math.log(0.75) + 0.25 * Math.log(0.25));
  expect(answer.mutualInformation).toBeCloseTo(Math.LN2 - each, 12);
  expect(answer.votesAgainst).toBe(0.5);
  // Threshold 0.75: classes of probability 0.25 or more stay.
  expect(answer.set).toEqual(['non-covid', 'covid']);
  expect(numbersOf([[0.9, 0.1]], manifest, 0.1).set).toEqual(['non-covid']);
});

test('the temperature 2 takes the square root of the odds', () => {
  const { calibrated } = numbersOf([[0.9, 0.1]], manifest, 0.1);
  expect(calibrated[0]! / calibrated[1]!).toBeCloseTo(3, 10);
});

test('weights of the combination', () => {
  const weighted = { ...manifest, combination: { method: 'weighted' as const, weights: [0.25, 0.75] } };
  const { probabilities } = numbersOf([[1, 0], [0, 1]], weighted, 0.1); // prettier-ignore
  expect(probabilities).toEqual([0.25, 0.75]);
});

test('too few calibration scans: every class stays in the set', () => {
  const rule = { ...manifest.calibration.conformal[0]!, threshold: null };
  const without = { ...manifest, calibration: { ...manifest.calibration, conformal: [rule] } };
  expect(numbersOf([[1, 0]], without, 0.1).set).toEqual(['non-covid', 'covid']);
});
