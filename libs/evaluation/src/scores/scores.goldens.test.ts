import { describeGoldens, difference } from '../goldens.fixture.ts';
import { EvaluationInputError, predictionsOf } from '../predictions.ts';
import { riskCoverage } from '../doubt/risk-coverage.ts';
import { reliabilityBins } from '../doubt/reliability.ts';
import { scoresOf } from './scores.ts';

interface Metrics {
  cases: {
    name: string;
    classes: number;
    labels: number[];
    probabilities: number[][];
    expected: Record<string, unknown> & { brierHalf: number; ece15: number; eceBins: number[][] };
    riskCoverage: { risk: number[]; aurc: number; eaurc: number };
  }[];
  refused: { name: string; classes: number; labels: number[]; probabilities: (number | string)[][] }[];
}

const tolerance = 1e-12;
const same = [
  ...[
    'confusion',
    'accuracy',
    'f1',
    'macroF1',
    'recall',
    'precision',
    'balancedAccuracy',
    'auroc',
    'macroAuroc',
  ],
  ...[
    'auprc',
    'macroAuprc',
    'logLoss',
    'brier',
    'mcc',
    'kappa',
    'quadraticKappa',
    'absentInTruth',
    'absentInBoth',
  ],
] as const;

describeGoldens<Metrics>('evaluation/metrics.json', ({ cases, refused }) => {
  test.each(cases.map((c) => [c.name, c] as const))('%s', (_, c) => {
    const p = predictionsOf(c);
    const scores = scoresOf(p) as unknown as Record<string, unknown>;
    const misses = same.filter((name) => !(difference(scores[name], c.expected[name]) <= tolerance));
    expect(misses).toEqual([]);
    expect(difference(scores['ece'], c.expected.ece15)).toBeLessThanOrEqual(tolerance);
    const bins = reliabilityBins(p).filter(({ scans }) => scans > 0);
    const rows = bins.map((bin) => [bin.index, bin.scans, bin.confidence, bin.accuracy]);
    expect(difference(rows, c.expected.eceBins)).toBeLessThanOrEqual(tolerance);
    const curve = riskCoverage(p);
    expect(difference([...curve.risk], c.riskCoverage.risk)).toBeLessThanOrEqual(tolerance);
    expect(difference(curve.aurc, c.riskCoverage.aurc)).toBeLessThanOrEqual(tolerance);
    expect(difference(curve.excessAurc, c.riskCoverage.eaurc)).toBeLessThanOrEqual(tolerance);
  });

  test.each(refused.map((c) => [c.name, c] as const))('refused: %s', (_, c) => {
    const probabilities = c.probabilities.map((row) => row.map(Number));
    expect(() => predictionsOf({ ...c, probabilities })).toThrow(EvaluationInputError);
  });
});
