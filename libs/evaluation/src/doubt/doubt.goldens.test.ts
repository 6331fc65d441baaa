import { describeGoldens, difference } from '../goldens.fixture.ts';
import { predictionsOf } from '../predictions.ts';
import { calibrateConformal, type ConformalOptions, conformalSets } from './conformal.ts';
import { disagreement } from './disagreement.ts';

interface Sets {
  scores: number[];
  threshold: number | null;
  sets: number[][];
}
interface Conformal {
  cases: {
    name: string;
    classes: number;
    alpha: number;
    labels: number[];
    probabilities: number[][];
    test: number[][];
    expected: {
      lac: Sets;
      aps: Sets;
      raps: Sets & { lambda_: number; kReg: number };
      lacPerClass: { thresholds: (number | null)[]; sets: number[][] };
      rank: number;
      coverageGivenThisCalibrationSet90: [number, number] | null;
    };
  }[];
  disagreement: {
    name: string;
    members: number[][];
    expected: {
      predictiveEntropy: number;
      expectedEntropy: number;
      mutualInformation: number;
      normalisedEntropy: number;
      voteShareAgainst: number;
      spread: number[];
    };
  }[];
}

describeGoldens<Conformal>('evaluation/conformal.json', ({ cases, disagreement: opinions }) => {
  test.each(cases.map((c) => [c.name, c] as const))('%s', (_, c) => {
    const p = predictionsOf(c);
    const unseen = Float64Array.from(c.test.flat());
    const run = (options: Omit<ConformalOptions, 'alpha'>) => {
      const rule = calibrateConformal(p, { alpha: c.alpha, ...options });
      return { rule, sets: conformalSets(rule, unseen) };
    };
    for (const method of ['lac', 'aps', 'raps'] as const) {
      const expected = c.expected[method];
      const { lambda_, kReg } = c.expected.raps;
      const { rule, sets } = run({ method, lambda: lambda_, kReg });
      expect(sets).toEqual(expected.sets);
      expect(rule.ranks[0]).toBe(c.expected.rank);
      expect(difference([...rule.scores], expected.scores)).toBeLessThanOrEqual(1e-12);
      expect(difference(rule.thresholds[0], expected.threshold)).toBeLessThanOrEqual(1e-12);
      expect(
        difference(rule.coverageRange, c.expected.coverageGivenThisCalibrationSet90),
      ).toBeLessThanOrEqual(1e-10);
    }
    const { rule, sets } = run({ method: 'lac', perClass: true });
    expect(sets).toEqual(c.expected.lacPerClass.sets);
    expect(difference(rule.thresholds, c.expected.lacPerClass.thresholds)).toBeLessThanOrEqual(1e-12);
  });

  test.each(opinions.map((c) => [c.name, c] as const))('disagreement: %s', (_, { members, expected: e }) => {
    const d = disagreement(
      members.map((row) => predictionsOf({ classes: row.length, labels: [0], probabilities: [row] })),
    );
    const actual = [
      d.predictiveEntropy,
      d.expectedEntropy,
      d.mutualInformation,
      d.normalisedEntropy,
      d.votesAgainst,
    ];
    const expected = [
      e.predictiveEntropy,
      e.expectedEntropy,
      e.mutualInformation,
      e.normalisedEntropy,
      e.voteShareAgainst,
    ];
    expect(
      difference(
        actual.map(([value]) => value),
        expected,
      ),
    ).toBeLessThanOrEqual(1e-12);
    expect(difference([...d.spread], e.spread)).toBeLessThanOrEqual(1e-12);
  });
});
