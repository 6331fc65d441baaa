// Real out-of-fold predictions of a published network: what averaging draws gains, and that nested selection does not flatter.
import { randomStream } from '@ct-ensemble/core';
import { describeGoldens, difference } from '../goldens.fixture.ts';
import { type Predictions, predictionsOf } from '../predictions.ts';
import { compareRows } from '../comparison/compare.ts';
import { scoresOf } from '../scores/scores.ts';
import { nested } from './nested.ts';
import type { GreedySelection } from './greedy.ts';
import { greedyLogLoss, greedyMacroF1, type Strategy } from './strategies.ts';
import { weightedMeanOf } from './mean.ts';

interface OutOfFold {
  pooledMacroF1: { oneDraw: number; tenDraws: number };
  folds: {
    label: number[];
    oneDraw: number[];
    tenDraws: number[];
    macroF1: { oneDraw: number; tenDraws: number };
  }[];
}

const rowOf = (labels: number[], pCovid: number[]) =>
  predictionsOf({ classes: 2, labels, probabilities: pCovid.map((p) => [1 - p, p]) });

describeGoldens<OutOfFold>('oof.json', ({ folds, pooledMacroF1 }) => {
  const labels = folds.flatMap((f) => f.label);
  const oneDraw = rowOf(labels, folds.flatMap((f) => f.oneDraw)); // prettier-ignore
  const tenDraws = rowOf(labels, folds.flatMap((f) => f.tenDraws)); // prettier-ignore
  const fold = folds.flatMap((f, i) => f.label.map(() => i));
  const macroF1 = (p: Predictions) => scoresOf(p).macroF1!;

  test.each(folds.map((f, i) => [i, f] as const))(
    'fold %i: the mean of ten draws gains what it should',
    (_, f) => {
      const one = macroF1(rowOf(f.label, f.oneDraw));
      const ten = macroF1(rowOf(f.label, f.tenDraws));
      expect(difference([one, ten], [f.macroF1.oneDraw, f.macroF1.tenDraws])).toBeLessThanOrEqual(1e-12);
      expect(ten).toBeGreaterThan(one);
    },
  );

  test('all folds pooled, and the gain of averaging with its interval', () => {
    const figures = [macroF1(oneDraw), macroF1(tenDraws)];
    expect(difference(figures, [pooledMacroF1.oneDraw, pooledMacroF1.tenDraws])).toBeLessThanOrEqual(1e-12);
    const [c] = compareRows(
      [
        { name: 'ten draws', predictions: tenDraws },
        { name: 'one draw', predictions: oneDraw },
      ],
      { resamples: 500, seed: 1 },
    );
    const { estimate, interval } = c!.differences.macroF1;
    expect(Math.abs(estimate! - (pooledMacroF1.tenDraws - pooledMacroF1.oneDraw))).toBeLessThan(1e-12);
    expect(interval![0]).toBeLessThan(estimate!);
    expect(interval![1]).toBeGreaterThan(estimate!);
    expect(c!.words).toContain('ten draws has a higher macro F1 than one draw: difference +0.004');
  });

  const members = [oneDraw, tenDraws];
  const withUseless = (seed: number) => {
    const random = randomStream({ seed, purpose: 'useless members' });
    const useless = () => labels.map(() => random.uniform());
    return [...members, ...Array.from({ length: 12 }, () => rowOf(labels, useless()))];
  };
  /** Loss on the scans of the choice, and nested. */
  const lossesOf = (
    rows: Predictions[],
    strategy: Strategy<GreedySelection>,
    loss: (p: Predictions) => number,
  ) => {
    const { predictions, final } = nested(rows, fold, strategy);
    return { seen: loss(weightedMeanOf(rows, final.weights)), nested: loss(predictions) };
  };

  describe('useless members improve macro F1 on the scans of the choice, but not nested', () => {
    const seeds = [1, 2, 3, 4, 5];
    const loss = (p: Predictions) => 1 - macroF1(p);
    const planted: { seen: number; nested: number }[] = [];

    test.each(seeds)('seed %i: the nested figure is worse than the seen one', (seed) => {
      const losses = lossesOf(withUseless(seed), greedyMacroF1, loss);
      planted.push(losses);
      expect(losses.nested).toBeGreaterThan(losses.seen);
    });

    test('on average, only the seen figure gains', () => {
      const without = lossesOf(members, greedyMacroF1, loss);
      const gain = (of: 'seen' | 'nested') =>
        without[of] - planted.reduce((sum, losses) => sum + losses[of], 0) / seeds.length;
      expect(planted).toHaveLength(seeds.length);
      expect(gain('seen')).toBeGreaterThan(0.002);
      expect(gain('nested')).toBeLessThan(0.4 * gain('seen')); // its standard error over five seeds is about 0.001
    });
  });

  test('useless members improve the log loss on the scans of the choice, and worsen it nested', () => {
    const loss = (p: Predictions) => scoresOf(p).logLoss!;
    const without = lossesOf(members, greedyLogLoss, loss);
    const planted = lossesOf(withUseless(1), greedyLogLoss, loss);
    expect(planted.seen).toBeLessThan(without.seen);
    expect(planted.nested).toBeGreaterThan(without.nested);
  });
});
