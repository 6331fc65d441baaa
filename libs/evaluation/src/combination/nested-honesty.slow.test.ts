// Nested selection never reports better than it is: simulated data sets whose true macro F1 of every choice is known exactly.
import { randomStream } from '@ct-ensemble/core';
import { describeGoldens } from '../goldens.fixture.ts';
import { type Predictions, predictionsOf } from '../predictions.ts';
import { predictedClasses } from '../scores/confusion.ts';
import { scoresOf } from '../scores/scores.ts';
import { nested } from './nested.ts';
import { greedyMacroF1, meanThreshold, type Strategy, weighted } from './strategies.ts';

/** A member that is right with this probability, independently of all others, and then gives the true class this probability. */
interface Member {
  right: number;
  confidence: number;
}

const good: Member[] = [
  { right: 0.68, confidence: 0.73 },
  { right: 0.64, confidence: 0.81 },
  { right: 0.6, confidence: 0.62 },
];
const useless: Member[] = [0.95, 0.87, 0.79, 0.68, 0.61].map((confidence) => ({ right: 0.5, confidence }));
const share = 0.4; // of class 0
const scans = 60;
const repeats = 400;

/** The probability of class 0. */
const answer = ({ confidence }: Member, label: number, isRight: boolean) =>
  isRight === (label === 0) ? confidence : 1 - confidence;

function drawn(members: readonly Member[], repeat: number): Predictions[] {
  const random = randomStream({ seed: 5, purpose: 'nested honesty', sample: repeat });
  const labels = Array.from({ length: scans }, () => (random.uniform() < share ? 0 : 1));
  // Member by member, so that the good members' answers are the same with and without useless ones.
  return members.map((member) => {
    const first = labels.map((label) => answer(member, label, random.uniform() < member.right));
    return predictionsOf({ classes: 2, labels, probabilities: first.map((p) => [p, 1 - p]) });
  });
}

/** Everything that can happen: both classes times every pattern of right and wrong members, with its probability. */
function everything(members: readonly Member[]) {
  const patterns = Array.from({ length: 2 ** (members.length + 1) }, (_, code) => ({
    label: code & 1,
    isRight: members.map((_, m) => ((code >> (m + 1)) & 1) === 1),
  }));
  const labels = patterns.map(({ label }) => label);
  return {
    rows: members.map((member, m) =>
      predictionsOf({
        classes: 2,
        labels,
        probabilities: patterns.map(({ label, isRight }) => {
          const p = answer(member, label, isRight[m]!);
          return [p, 1 - p];
        }),
      }),
    ),
    probability: patterns.map(({ label, isRight }) =>
      members.reduce(
        (p, { right }, m) => p * (isRight[m] ? right : 1 - right),
        label === 0 ? share : 1 - share,
      ),
    ),
  };
}

/** Macro F1 of these answers on infinitely many fresh scans. */
function exactMacroF1(answers: Predictions, probability: readonly number[]): number {
  const called = predictedClasses(answers.probabilities, 2);
  const f1 = [0, 1].map((k) => {
    let [both, either] = [0, 0];
    probability.forEach((p, i) => {
      const [isTrue, isCalled] = [answers.labels[i] === k, called[i] === k];
      if (isTrue && isCalled) both += p;
      either += (Number(isTrue) + Number(isCalled)) * p;
    });
    return (2 * both) / either;
  });
  return (f1[0]! + f1[1]!) / 2;
}

const macroF1 = (p: Predictions) => scoresOf(p).macroF1!;

/** Mean and its standard error. */
function summary(values: readonly number[]) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, error: Math.sqrt(squares / (values.length - 1) / values.length) };
}

const fold = Array.from({ length: scans }, (_, i) => i % 5);

/** Macro F1 of each data set: on the scans of the choice, nested, and of the final choice on fresh scans. */
function simulated<Choice>(members: readonly Member[], strategy: Strategy<Choice>) {
  const all = everything(members);
  return Array.from({ length: repeats }, (_, repeat) => {
    const rows = drawn(members, repeat);
    const { predictions, final } = nested(rows, fold, strategy);
    return {
      seen: macroF1(strategy.apply(rows, final)),
      nested: macroF1(predictions),
      fresh: exactMacroF1(strategy.apply(all.rows, final), all.probability),
    };
  });
}

test('the exact macro F1 of one member is its closed form', () => {
  const { rows, probability } = everything([{ right: 0.8, confidence: 0.83 }]);
  expect(probability.reduce((a, b) => a + b)).toBeCloseTo(1, 14);
  // Recall 0.8 of both classes; class 0 is called in 0.4·0.8 + 0.6·0.2 = 0.44 of the scans.
  const closed = ((2 * 0.32) / (0.4 + 0.44) + (2 * 0.48) / (0.6 + 0.56)) / 2;
  expect(exactMacroF1(rows[0]!, probability)).toBeCloseTo(closed, 14);
});

describe.each([
  ['greedy', greedyMacroF1 as Strategy<unknown>],
  ['weighted', weighted as Strategy<unknown>],
  ['threshold', meanThreshold as Strategy<unknown>],
])('%s, 400 data sets of 60 scans, 3 members with skill and 5 useless ones', (name, strategy) => {
  const results = simulated([...good, ...useless], strategy);

  test('the figure on the scans of the choice is too good, the nested one is not', () => {
    const seen = summary(results.map((r) => r.seen - r.fresh));
    const honest = summary(results.map((r) => r.nested - r.fresh));
    console.log(name, { seen, nested: honest });
    expect(seen.mean).toBeGreaterThan(4 * seen.error);
    expect(honest.mean).toBeLessThan(2 * honest.error);
  });

  test('useless members do not raise the nested figure', () => {
    const without = simulated(good, strategy);
    const change = summary(results.map((r, i) => r.nested - without[i]!.nested));
    const seen = summary(results.map((r, i) => r.seen - without[i]!.seen));
    console.log(name, { change, seen });
    expect(change.mean).toBeLessThan(2 * change.error);
    // The useless members are taken: on the scans of the choice they seem to help.
    if (name === 'greedy') expect(seen.mean).toBeGreaterThan(2 * seen.error);
  });
});

describeGoldens<{ folds: { label: number[]; oneDraw: number[]; tenDraws: number[] }[] }>(
  'oof.json',
  ({ folds }) => {
    const labels = folds.flatMap((f) => f.label);
    const foldOf = folds.flatMap((f, i) => f.label.map(() => i));
    const rowOf = (pCovid: number[]) =>
      predictionsOf({ classes: 2, labels, probabilities: pCovid.map((p) => [1 - p, p]) });
    const members = [rowOf(folds.flatMap((f) => f.oneDraw)), rowOf(folds.flatMap((f) => f.tenDraws))];
    const figures = (rows: Predictions[]) => {
      const { predictions, final } = nested(rows, foldOf, greedyMacroF1);
      return { seen: macroF1(greedyMacroF1.apply(rows, final)), nested: macroF1(predictions) };
    };

    // Macro F1 moves in steps: a useless member flips single scans near the boundary, so that one planting gains or loses up to 0.004.
    test('real predictions, 40 plantings of 12 useless members: the nested figure gains nothing on average', () => {
      const without = figures(members);
      const changes = Array.from({ length: 40 }, (_, seed) => {
        const random = randomStream({ seed: seed + 1, purpose: 'useless members' });
        const planted = Array.from({ length: 12 }, () => rowOf(labels.map(() => random.uniform())));
        const now = figures([...members, ...planted]);
        return { seen: now.seen - without.seen, nested: now.nested - without.nested };
      });
      const seen = summary(changes.map((change) => change.seen));
      const honest = summary(changes.map((change) => change.nested));
      console.log('out-of-fold predictions', { seen, nested: honest });
      expect(seen.mean).toBeGreaterThan(4 * seen.error);
      expect(honest.mean).toBeLessThan(2 * honest.error);
    }, 900_000);
  },
);
