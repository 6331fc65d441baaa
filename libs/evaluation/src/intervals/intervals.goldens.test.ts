import { describeGoldens, difference } from '../goldens.fixture.ts';
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
}

const tolerance = 1e-10;

describeGoldens<Intervals>('evaluation/intervals.json', ({ single }) => {
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
});
