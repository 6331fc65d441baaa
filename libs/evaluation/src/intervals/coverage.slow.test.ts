// Coverage of the 95 % intervals of macro F1 by simulation: how often the interval of a drawn data set holds the true value. The shapes
// are the competition's validation sets: 484 scans of two classes, 61 scans of four.
import { randomStream, type RandomStream } from '@ct-ensemble/core';
import { predictionsOf } from '../predictions.ts';
import { drawResamples } from './resamples.ts';
import { intervalOf } from './bca.ts';
import { replicatesOf } from './replicates.ts';

/** A reader whose answer depends on the true class only: [truth][answer] probabilities, and the share of each class. */
interface Reader {
  shares: number[];
  answers: number[][];
}

/** Macro F1 of infinitely many scans. */
function trueMacroF1({ shares, answers }: Reader): number {
  const called = shares.map((_, k) => shares.reduce((sum, share, j) => sum + share * answers[j]![k]!, 0));
  const f1 = shares.map((share, k) => (2 * share * answers[k]![k]!) / (share + called[k]!));
  return f1.reduce((sum, value) => sum + value, 0) / shares.length;
}

function drawFrom(probabilities: readonly number[], random: RandomStream): number {
  let rest = random.uniform();
  const at = probabilities.findIndex((p) => (rest -= p) < 0);
  return at < 0 ? probabilities.length - 1 : at;
}

function coverage(reader: Reader, options: { scans: number; repeats: number; resamples: number }) {
  const truth = trueMacroF1(reader);
  const classes = reader.shares.length;
  let bca = 0;
  let percentile = 0;
  let width = 0;
  for (let repeat = 0; repeat < options.repeats; repeat++) {
    const random = randomStream({ seed: 11, purpose: 'coverage', sample: repeat, epoch: options.scans });
    const labels = Array.from({ length: options.scans }, () => drawFrom(reader.shares, random));
    const probabilities = labels.map((label) => {
      const answer = drawFrom(reader.answers[label]!, random);
      return Array.from({ length: classes }, (_, k) => (k === answer ? 0.7 : 0.3 / (classes - 1)));
    });
    const p = predictionsOf({ classes, labels, probabilities });
    const resamples = drawResamples({ patients: options.scans, count: options.resamples, seed: repeat });
    const { estimate, resampled, jackknife } = replicatesOf(p, resamples);
    const interval = intervalOf({
      estimate: estimate[0]!,
      resampled: resampled[0]!,
      jackknife: jackknife[0]!,
    });
    const holds = ([low, high]: [number, number]) => low <= truth && truth <= high;
    if (holds(interval.interval!)) bca += 1;
    if (holds(interval.percentile!)) percentile += 1;
    width += interval.interval![1] - interval.interval![0];
  }
  return {
    bca: bca / options.repeats,
    percentile: percentile / options.repeats,
    width: width / options.repeats,
  };
}

test('484 scans of two classes: BCa holds the true macro F1 in 93 … 97 %', () => {
  const reader = { shares: [215 / 484, 269 / 484], answers: [[0.87, 0.13], [0.09, 0.91]] }; // prettier-ignore
  const found = coverage(reader, { scans: 484, repeats: 1000, resamples: 1000 });
  console.log('484 scans, 2 classes', found);
  expect(found.bca).toBeGreaterThanOrEqual(0.93);
  expect(found.bca).toBeLessThanOrEqual(0.97);
}, 900_000);

test('61 scans of four classes, 22/10/24/5: BCa holds the true macro F1 in at least 91 %', () => {
  const reader = {
    shares: [22 / 61, 10 / 61, 24 / 61, 5 / 61],
    answers: [
      [0.75, 0.15, 0.08, 0.02],
      [0.2, 0.5, 0.25, 0.05],
      [0.05, 0.12, 0.75, 0.08],
      [0.02, 0.08, 0.3, 0.6],
    ],
  };
  const found = coverage(reader, { scans: 61, repeats: 2000, resamples: 2000 });
  console.log('61 scans, 4 classes', found);
  expect(found.bca).toBeGreaterThanOrEqual(0.91);
  expect(found.bca).toBeLessThanOrEqual(0.98);
}, 900_000);
