import { randomStream } from '@ct-ensemble/core';
import { type Predictions, predictionsOf } from '../predictions.ts';
import { scoresOf } from '../scores/scores.ts';
import { greedySelection } from './greedy.ts';
import { meanOf, weightedMeanOf } from './mean.ts';
import { nested } from './nested.ts';
import { sizeCurve } from './size-curve.ts';
import { greedyMacroF1, mean, meanThreshold } from './strategies.ts';
import { applyTemperature, fitTemperature } from './temperature.ts';
import { applyThreshold, fitThreshold } from './threshold.ts';
import { fitWeights } from './weighted.ts';

const row = (labels: number[], p: number[], patients?: number[]) =>
  predictionsOf({ classes: 2, labels, patients, probabilities: p.map((x) => [x, 1 - x]) });

function noisy(seed: number, labels: number[], skill: number): Predictions {
  const random = randomStream({ seed, purpose: 'noisy' });
  return row(labels, labels.map((y) => 1 / (1 + Math.exp(-random.normal() * 2 - (y === 0 ? skill : -skill))))); // prettier-ignore
}
const labels = Array.from({ length: 120 }, (_, i) => i % 2);

test('means', () => {
  const [a, b] = [row([0, 1], [0.2, 0.6]), row([0, 1], [0.4, 0.2])];
  expect([...meanOf([a, b]).probabilities]).toEqual([0.3, 0.7, 0.4, 0.6].map((x) => expect.closeTo(x, 14)));
  expect(weightedMeanOf([a, b], [0.75, 0.25]).probabilities[0]).toBeCloseTo(0.25, 14);
  expect(() => weightedMeanOf([a, b], [0.75, 0.75])).toThrow('do not fit 2 members');
  expect(() => meanOf([])).toThrow('there is no member');
});

test('weights of two members with opposite answers: the closed form', () => {
  // Member 1 gives the true class 0.9 on 3 of 4 scans and 0.1 on one; member 2 the other way round. The mixture gives 0.1 + 0.8w
  // and 0.9 − 0.8w, and 3/(0.1 + 0.8w) = 1/(0.9 − 0.8w) has its root at w = 0.8125.
  const { weights, kktExcess } = fitWeights([
    row([0, 0, 0, 0], [0.9, 0.9, 0.9, 0.1]),
    row([0, 0, 0, 0], [0.1, 0.1, 0.1, 0.9]),
  ]);
  expect(weights[0]).toBeCloseTo(0.8125, 10);
  expect(weights[0]! + weights[1]!).toBeCloseTo(1, 14);
  expect(kktExcess).toBeLessThan(1e-10);
});

test('temperature undoes a known one', () => {
  // Probabilities that are right on average: 0.8 is right in 4 of 5 scans. A temperature of 1/2 makes them 16/17.
  const p = row([0, 0, 0, 0, 1], [0.8, 0.8, 0.8, 0.8, 0.8]);
  expect(fitTemperature(p).temperature).toBeCloseTo(1, 12);
  const sharp = applyTemperature(p, 0.5);
  expect(sharp.probabilities[0]).toBeCloseTo(16 / 17, 14);
  expect(fitTemperature(sharp).temperature).toBeCloseTo(2, 12);
});

test('the threshold that separates the classes is the midpoint nearest to 0.5', () => {
  const p = row([0, 0, 1, 1], [0.9, 0.4, 0.3, 0.1]);
  expect(fitThreshold(p)).toEqual({ positive: 0, threshold: 0.35, macroF1: 1, gain: expect.closeTo(1 - (2 / 3 + 4 / 5) / 2, 14) as number }); // prettier-ignore
  expect(scoresOf(applyThreshold(p, { threshold: 0.35, positive: 0 })).macroF1).toBe(1);
});

test('greedy selection takes two members that repair each other, and stops there', () => {
  const repair = [
    row([0, 0, 1, 1], [0.9, 0.4, 0.2, 0.2]),
    row([0, 0, 1, 1], [0.4, 0.9, 0.2, 0.2]),
    row([0, 0, 1, 1], [0.1, 0.1, 0.9, 0.9]),
  ];
  const { order, kept, weights, losses } = greedySelection(repair);
  expect(order.slice(0, 2)).toEqual([0, 1]);
  expect([kept, weights, losses[1]]).toEqual([2, [0.5, 0.5, 0], 0]);
});

test('nested: no scan is answered by a choice that saw its fold', () => {
  const members = [noisy(1, labels, 1), noisy(2, labels, 1), noisy(3, labels, 0)];
  const fold = labels.map((_, i) => Math.floor(i / 2) % 3);
  const { predictions, folds } = nested(members, fold, greedyMacroF1);
  expect(folds.map(({ heldOut }) => heldOut)).toEqual([0, 1, 2]);
  // Turning the labels of fold 1 around changes the choices for the other folds, but not that for fold 1.
  const turned = members.map((m) => ({ ...m, labels: m.labels.map((y, i) => (fold[i] === 1 ? 1 - y : y)) }));
  const again = nested(turned, fold, greedyMacroF1);
  const ofFold1 = (p: Predictions) => [...p.probabilities].filter((_, at) => fold[at >> 1] === 1);
  expect(ofFold1(again.predictions)).toEqual(ofFold1(predictions));
  expect(again.folds[0]!.choice).not.toEqual(folds[0]!.choice);
});

test('nested: a useless member raises the figure on the scans of the choice, not the nested one', () => {
  const coin = Array.from({ length: 40 }, (_, seed) => noisy(100 + seed, labels, 0));
  const fold = labels.map((_, i) => Math.floor(i / 2) % 4);
  const { predictions, final } = nested(coin, fold, greedyMacroF1);
  expect(scoresOf(weightedMeanOf(coin, final.weights)).macroF1).toBeGreaterThan(0.6);
  expect(scoresOf(predictions).macroF1).toBeLessThan(0.6);
});

test('nested: the mean is the mean, a patient in two folds is refused', () => {
  const members = [noisy(1, labels, 1), noisy(2, labels, 1)];
  const fold = labels.map((_, i) => i % 2);
  expect(nested(members, fold, mean).predictions).toEqual(meanOf(members));
  expect(nested(members, fold, meanThreshold).folds).toHaveLength(2);
  const shared = [row([0, 1, 0, 1], [0.9, 0.1, 0.8, 0.3], [1, 2, 3, 2])];
  expect(() => nested(shared, [0, 0, 1, 1], mean)).toThrow('its patient has scans in the folds 0 and 1');
  expect(() => nested(members, labels.map(() => 0), mean)).toThrow('at least two folds'); // prettier-ignore
});

test('size curve: ends are the members and the ensemble, and averaging helps', () => {
  const members = Array.from({ length: 9 }, (_, seed) => noisy(seed, labels, 0.8));
  const curve = sizeCurve(members, { subsets: 20, seed: 1 });
  const singles = members.map((m) => scoresOf(m).macroF1!);
  expect(curve.map((c) => c.members)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(curve.map((c) => c.complete)).toEqual([true, false, false, false, false, false, false, true, true]);
  expect(curve[0]).toMatchObject({ subsets: 9, lowest: Math.min(...singles), highest: Math.max(...singles) });
  expect(curve[8]!.mean).toBe(scoresOf(meanOf(members)).macroF1);
  expect(curve[8]!.mean!).toBeGreaterThan(curve[0]!.mean!);
});

test('sixty members that are nearly alike: the fit ends in bounded work, and its log loss is the least within 1e-6', () => {
  const random = randomStream({ seed: 2, purpose: 'many members' });
  const labels = Array.from({ length: 400 }, () => random.integer(2));
  const members = Array.from({ length: 60 }, () =>
    predictionsOf({
      classes: 2,
      labels,
      probabilities: labels.map((label) => {
        const right = 0.55 + 0.4 * random.uniform();
        return label === 0 ? [right, 1 - right] : [1 - right, right];
      }),
    }),
  );
  const { kktExcess, logLoss, iterations, weights } = fitWeights(members);
  expect(iterations * 400 * 60).toBeLessThan(6.1e8);
  expect(kktExcess).toBeLessThan(1e-6);
  expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12);
  // The bound: no mixture is better by more than the excess, so none of these is.
  const uniform = scoresOf(meanOf(members)).logLoss!;
  expect(logLoss).toBeLessThanOrEqual(uniform);
  for (const member of members) expect(logLoss).toBeLessThan(scoresOf(member).logLoss!);
});
