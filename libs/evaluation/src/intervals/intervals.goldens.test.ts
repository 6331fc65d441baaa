import { describeGoldens, difference } from '../goldens.fixture.ts';
import { delong } from '../comparison/delong.ts';
import { mcnemar, mcnemarOf } from '../comparison/mcnemar.ts';
import { pairedDifferences } from '../comparison/paired-bootstrap.ts';
import { swapTest } from '../comparison/swap-test.ts';
import { predictionsOf } from '../predictions.ts';
import { replicatesOf } from './replicates.ts';
import { resamplesFrom } from './resamples.ts';
import { scoreIntervals } from './score-intervals.ts';
import type { ScoreName } from '../scores/names.ts';

interface Expected {
  estimate: number | null;
  undefined: number;
  percentile: [number, number] | null;
  bca: [number, number] | null;
  z0?: number;
  a?: number | null;
  levels?: [number, number];
}
interface Intervals {
  single: {
    name: string;
    classes: number;
    labels: number[];
    patients: number[];
    probabilities: number[][];
    resamples: number[][];
    replicatesMacroF1: number[];
    jackknifeMacroF1: number[];
    expected: Record<string, Expected>;
  }[];
  paired: {
    name: string;
    classes: number;
    labels: number[];
    patients: number[];
    a: number[][];
    b: number[][];
    resamples: number[][];
    swaps: number[][];
    expected: {
      difference: number;
      replicates: number[];
      percentile: [number, number];
      bootstrapP: number;
      swapDifferences: number[];
      swapP: number;
      onlyARight: number;
      onlyBRight: number;
      mcnemarExactP: number;
      mcnemarMidP: number;
    };
  }[];
  delong: {
    name: string;
    labels: number[];
    a: number[];
    b: number[];
    expected: { aucA: number; aucB: number; varA: number; varB: number; cov: number; z: number; p: number };
  }[];
  mcnemar: { onlyA: number; onlyB: number; exactP: number; midP: number }[];
}

const tolerance = 1e-10;

describeGoldens<Intervals>(
  'evaluation/intervals.json',
  ({ single, paired, delong: pairs, mcnemar: counts }) => {
    test.each(single.map((c) => [c.name, c] as const))('%s', (_, c) => {
      const p = predictionsOf(c);
      const resamples = resamplesFrom(c.resamples, p.patientCount);
      const replicates = replicatesOf(p, resamples);
      expect(difference([...replicates.resampled[0]!], c.replicatesMacroF1)).toBeLessThanOrEqual(tolerance);
      expect(difference([...replicates.jackknife[0]!], c.jackknifeMacroF1)).toBeLessThanOrEqual(tolerance);
      const { scores } = scoreIntervals(p, { resamples });
      const misses = Object.entries(c.expected).filter(([name, e]) => {
        const { estimate, percentile, bca, undefinedResamples, z0, acceleration, levels } =
          scores[(name === 'ece15' ? 'ece' : name) as ScoreName];
        const actual = [estimate, undefinedResamples, percentile, bca, z0, acceleration, levels];
        return !(
          difference(actual, [e.estimate, e.undefined, e.percentile, e.bca, e.z0, e.a, e.levels]) <= tolerance
        );
      });
      expect(
        misses.map(([name, e]) => [name, e, scores[(name === 'ece15' ? 'ece' : name) as ScoreName]]),
      ).toEqual([]);
    });

    test.each(paired.map((c) => [c.name, c] as const))('two rows: %s', (_, c) => {
      const { classes, labels, patients, expected: e } = c;
      const [a, b] = [c.a, c.b].map((probabilities) =>
        predictionsOf({ classes, labels, patients, probabilities }),
      );
      const resamples = resamplesFrom(c.resamples, a!.patientCount);
      const { macroF1 } = pairedDifferences(a!, b!, { resamples });
      const swap = swapTest(a!, b!, { swaps: c.swaps });
      const { onlyA, onlyB, exactP, midP } = mcnemar(a!, b!);
      const pairs: [unknown, unknown][] = [
        [macroF1.estimate, e.difference],
        [[...macroF1.replicates], e.replicates],
        [macroF1.percentile, e.percentile],
        [macroF1.bootstrapP, e.bootstrapP],
        [swap.difference, e.difference],
        [[...swap.permuted], e.swapDifferences],
        [swap.p, e.swapP],
        [
          [onlyA, onlyB, exactP, midP],
          [e.onlyARight, e.onlyBRight, e.mcnemarExactP, e.mcnemarMidP],
        ],
      ];
      for (const [actual, expected] of pairs)
        expect(difference(actual, expected)).toBeLessThanOrEqual(tolerance);
    });

    test.each(pairs.map((c) => [c.name, c] as const))('DeLong: %s', (_, c) => {
      const d = delong(
        c.labels.map((label) => label === 1),
        c.a,
        c.b,
      )!;
      const { aucA, aucB, varA, varB, cov, z, p } = c.expected;
      const actual = [d.aurocA, d.aurocB, d.varianceA, d.varianceB, d.covariance, d.z, d.p];
      expect(difference(actual, [aucA, aucB, varA, varB, cov, z, p])).toBeLessThanOrEqual(tolerance);
    });

    test.each(counts)('McNemar: $onlyA and $onlyB discordant scans', ({ onlyA, onlyB, exactP, midP }) => {
      const test = mcnemarOf(onlyA, onlyB);
      expect(difference([test.exactP, test.midP], [exactP, midP])).toBeLessThanOrEqual(tolerance);
    });
  },
);
