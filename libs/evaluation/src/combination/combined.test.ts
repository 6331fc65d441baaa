import { randomStream } from '@ct-ensemble/core';
import { predictionsOf } from '../predictions.ts';
import { predictedClasses } from '../scores/confusion.ts';
import { scoresOf } from '../scores/scores.ts';
import { centreThreshold, combined } from './combined.ts';
import { meanOf } from './mean.ts';
import { applyTemperature, fitTemperature } from './temperature.ts';
import { applyThreshold, fitThreshold } from './threshold.ts';

const row = (labels: number[], p: number[]) =>
  predictionsOf({ classes: 2, labels, probabilities: p.map((x) => [x, 1 - x]) });

test('the mean without temperature and threshold chooses nothing', () => {
  const members = [row([0, 1], [0.2, 0.6]), row([0, 1], [0.4, 0.2])];
  const strategy = combined({ method: 'mean' });
  const choice = strategy.choose(members);
  expect(choice).toEqual({ weights: [0.5, 0.5], temperature: null, threshold: null });
  expect(strategy.apply(members, choice)).toEqual(meanOf(members));
});

test('a threshold moved to 0.5: the closed form, the same answers and the same order', () => {
  const values = [0, 0.1, 0.2, 0.3, 0.5, 0.65, 1];
  const p = row(values.map(() => 0), values); // prettier-ignore
  const moved = centreThreshold(p, { threshold: 0.3, positive: 0 });
  const first = values.map((_, i) => moved.probabilities[2 * i]);
  // 0.1/0.6, 0.2/0.6, then 1/2, 1/2 + 0.2/1.4, 1/2 + 0.35/1.4.
  const expected = [0, 1 / 6, 1 / 3, 0.5, 0.5 + 1 / 7, 0.75, 1];
  expect(first).toEqual(expected.map((value) => expect.closeTo(value, 14)));
  const decisions = applyThreshold(p, { threshold: 0.3, positive: 0 });
  expect(predictedClasses(moved.probabilities, 2)).toEqual(predictedClasses(decisions.probabilities, 2));
  expect(() => centreThreshold(p, { threshold: 0.3, positive: 1 })).toThrow('cannot be applied');
});

test('weights, then the temperature of the weighted mean, then the threshold of what it makes', () => {
  const random = randomStream({ seed: 4, purpose: 'combined' });
  const labels = Array.from({ length: 80 }, (_, i) => Number(i % 4 === 0));
  const noisy = (skill: number) =>
    row(labels, labels.map((y) => 1 / (1 + Math.exp(-3 * (random.normal() + (y === 0 ? skill : -skill)))))); // prettier-ignore
  const members = [noisy(1), noisy(0.8), noisy(0.1)];
  const strategy = combined({ method: 'greedy', temperature: true, threshold: true });
  const choice = strategy.choose(members);
  const plain = combined({ method: 'greedy' });
  const mixed = plain.apply(members, plain.choose(members));
  expect(choice.temperature).toEqual(fitTemperature(mixed));
  const scaled = applyTemperature(mixed, choice.temperature!.temperature);
  expect(choice.threshold).toEqual(fitThreshold(scaled));
  const { macroF1 } = scoresOf(strategy.apply(members, choice));
  expect(macroF1).toBeCloseTo(choice.threshold!.macroF1, 12);
});
