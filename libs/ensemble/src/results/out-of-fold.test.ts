import { readFileSync } from 'node:fs';
import { makePlan } from '../run/plan.ts';
import { parseRecipe } from '../recipes/load.ts';
import { recipeText } from '../testing.fixture.ts';
import { renderOutOfFold } from './out-of-fold-text.ts';
import { evaluateOutOfFold, type FoldedMember, groupsOf, outOfFold } from './out-of-fold.ts';
import type { FailedScan } from './probabilities.ts';

const classes = ['non-covid', 'covid'];
/** A plan of a grid, as far as its members go. */
function planOfGrid(grid: string, rest = '') {
  const text = recipeText(['x'])
    .replace(/members: \[\{.*/, `members: { ${grid} }`)
    .replace(/submissions:[^]*/, rest);
  const dataset = { root: '/', layout: 'folders', classes, splits: 'data' as const, labels: null };
  const recipe = parseRecipe(text, 'test');
  return makePlan({
    recipe,
    dataset,
    scans: [{ members: [], scans: [] }],
    engine: 'cpu',
    devices: ['cpu:1'],
  });
}

/** Six scans in three folds, two a fold, one of each class. */
const scans = [0, 1, 2, 3, 4, 5].map((i) => ({
  key: `${i < 4 ? 'train' : 'val'}/s${i}`,
  name: `train_or_val_s${i}`,
  label: i % 2,
  fold: 1 + Math.floor(i / 2),
}));
/** A member of a fold with these probabilities of covid. */
const member = (
  [name, fold]: readonly [string, number],
  covid: number[],
  failed: FailedScan[] = [],
): FoldedMember => ({
  name,
  fold,
  probabilities: {
    classes,
    split: 'val',
    scans: scans
      .filter((scan) => scan.fold === fold && failed.every(({ key }) => key !== scan.key))
      .map(({ key, label }) => ({ key, name: key.slice(-2), label })),
    rows: covid.map((p) => [1 - p, p]),
    failed,
  },
});

const plan = planOfGrid('architectures: [densenet_small], seeds: [1, 2], folds: 3');
const name = (seed: number, fold: number) => `densenet_small-seed${seed}-fold${fold}`;
const named = (seed: number, fold: number) => [name(seed, fold), fold] as const;
// Seed 1 is right on all; seed 2 calls every scan covid, in fold 3 so surely that the mean does too.
const members = [
  ...[1, 2, 3].map((fold) => member(named(1, fold), [0.25, 0.75])),
  ...[1, 2].map((fold) => member(named(2, fold), [0.625, 0.875])),
  member(named(2, 3), [1, 1]),
];

test('a scan has the mean of the members of its fold, in the order of the run and under its name there', () => {
  const mean = outOfFold([...members].reverse(), scans);
  expect(mean.scans).toEqual(scans.map(({ key, name, label }) => ({ key, name, label })));
  expect(mean.rows.map(([, covid]) => covid)).toEqual([0.4375, 0.8125, 0.4375, 0.8125, 0.625, 0.875]);
});

test('scores worked by hand: groups over all folds, pooled and by fold, the ensemble, the constant answer', () => {
  const evaluation = evaluateOutOfFold(plan, { members, scans });
  const [one, two] = evaluation.groups;
  expect(one).toMatchObject({
    name: 'densenet_small-seed1',
    folds: [1, 2, 3],
    scans: 6,
    foldMacroF1: [1, 1, 1],
    sdMacroF1: 0,
  });
  // All covid: F1 0 and 2·3 / (2·3 + 3) = 2/3.
  expect(two!.pooled.macroF1).toBeCloseTo(1 / 3, 12);
  expect(two!.pooled.f1[1]).toBeCloseTo(2 / 3, 12);
  // The ensemble misses s4 alone: non-covid 2·2 / (2·2 + 1) = 4/5, covid 2·3 / (2·3 + 1) = 6/7.
  const { ensemble, constant } = evaluation;
  expect(ensemble.pooled.macroF1).toBeCloseTo((4 / 5 + 6 / 7) / 2, 12);
  expect(ensemble.pooled.matrix).toEqual([
    [2, 1],
    [0, 3],
  ]);
  // By fold 1, 1, 1/3: mean 7/9, squares 4/81 + 4/81 + 16/81 over 2.
  expect(ensemble.foldMacroF1[2]).toBeCloseTo(1 / 3, 12);
  expect(ensemble.meanMacroF1).toBeCloseTo(7 / 9, 12);
  expect(ensemble.sdMacroF1).toBeCloseTo(Math.sqrt(24 / 81 / 2), 12);
  expect(constant.scores.macroF1).toBeCloseTo(1 / 3, 12);
  expect(evaluation).toMatchObject({ missing: [], uncovered: [], submissions: [], scans: 6, failed: [] });
});

test('scores of three groups, one of two folds alone, equal those of scikit-learn', () => {
  const recorded = JSON.parse(
    readFileSync(new URL('../fixtures/out-of-fold.json', import.meta.url), 'utf8'),
  ) as Recorded;
  const all = recorded.labels.map((label, i) => ({
    key: `k${i}`,
    name: `n${i}`,
    label,
    fold: recorded.folds[i]!,
  }));
  const names = ['a', 'b', 'c'];
  const folded = Object.entries(recorded.groups).flatMap(([group, { folds, probabilities }]) =>
    folds.map((fold): FoldedMember => {
      const own = all.flatMap((scan, i) => (scan.fold === fold ? [{ scan, row: probabilities[i]! }] : []));
      return {
        name: `${group}-fold${fold}`,
        fold,
        probabilities: {
          classes: names,
          split: 'val',
          scans: own.map(({ scan: { key, name, label } }) => ({ key, name, label })),
          rows: own.map(({ row }) => row),
          failed: [],
        },
      };
    }),
  );
  const grid = planOfGrid('architectures: [a, b], seeds: [1, 2], folds: 4');
  const { groups, ensemble, missing, uncovered } = evaluateOutOfFold(grid, { members: folded, scans: all });
  expect(groups.map(({ name }) => name)).toEqual(Object.keys(recorded.groups));
  const expected = [...Object.values(recorded.groups), recorded.ensemble];
  [...groups, ensemble].forEach((row, g) => {
    const { scores } = expected[g]!;
    expect(row.scans).toBe(scores.scans);
    expect(row.pooled.matrix).toEqual(scores.matrix);
    const found = [row.pooled.macroF1, ...row.pooled.f1, row.pooled.accuracy, ...row.foldMacroF1];
    const wanted = [scores.macroF1, ...scores.f1, scores.accuracy, ...scores.foldMacroF1];
    expect(found).toHaveLength(wanted.length);
    found.forEach((value, i) => expect(value).toBeCloseTo(wanted[i]!, 12));
    expect(row.meanMacroF1).toBeCloseTo(scores.mean, 12);
    expect(row.sdMacroF1).toBeCloseTo(scores.sd, 12);
  });
  const { rows } = outOfFold(folded, all);
  rows.forEach((row, i) =>
    row.forEach((value, c) => expect(value).toBeCloseTo(recorded.ensemble.probabilities[i]![c]!, 14)),
  );
  expect(uncovered).toEqual([]);
  expect(missing).toEqual([
    'b-seed1-fold2',
    'b-seed1-fold4',
    ...[1, 2, 3, 4].map((fold) => `b-seed2-fold${fold}`),
  ]);
});

interface RecordedScores {
  scans: number;
  macroF1: number;
  f1: number[];
  accuracy: number;
  matrix: number[][];
  foldMacroF1: number[];
  mean: number;
  sd: number;
}
interface Recorded {
  labels: number[];
  folds: number[];
  groups: Record<string, { folds: number[]; probabilities: number[][]; scores: RecordedScores }>;
  ensemble: { probabilities: number[][]; scores: RecordedScores };
}

test('members that are missing, and folds that no member covers, are named; the others are scored', () => {
  const some = members.filter(({ fold, name }) => fold !== 2 && !name.includes('seed2-fold1'));
  const evaluation = evaluateOutOfFold(plan, { members: some, scans });
  expect(evaluation.missing).toEqual([name(1, 2), name(2, 1), name(2, 2)]);
  expect(evaluation.uncovered).toEqual([{ fold: 2, scans: 2 }]);
  expect(evaluation.groups.map(({ folds, scans }) => [folds, scans])).toEqual([
    [[1, 3], 4],
    [[3], 2],
  ]);
  expect(evaluation.groups[1]!.sdMacroF1).toBeNull();
  expect(evaluation.ensemble.scans).toBe(4);
  const text = renderOutOfFold(evaluation);
  expect(text).toContain('fold 2 has no finished member: its 2 scans are in no row of the table');
  expect(text).toMatch(/^densenet_small-seed1 +2 of 3 +4 +100\.00 .* 100\.00 ± 0\.00$/m);
  expect(text).toMatch(/^densenet_small-seed2 +1 of 3 +2 +33\.33 .* 33\.33 ± -$/m);
  expect(text).toMatch(/^ensemble +2 of 3 +4 /m);
  expect(text).toMatch(/^always non-covid +33\.33 /m);
  expect(() => evaluateOutOfFold(plan, { members: [], scans })).toThrow(/need at least one member/);
});

test('a failed scan counts as the class predicted most often', () => {
  const failed = [{ key: 'train/s1', name: 's1', label: 1, reason: 'no slice' }];
  const broken = [member(named(1, 1), [0.25], failed), ...members.slice(1, 3)];
  const { groups, failed: reported } = evaluateOutOfFold(plan, { members: broken, scans });
  expect(reported).toEqual([{ key: 'train/s1', reason: 'no slice' }]);
  // Three of five calls are non-covid, so s1 is called that.
  expect(groups[0]!.pooled.matrix).toEqual([
    [3, 0],
    [1, 2],
  ]);
});

test('submissions that are neither a group nor the whole have a row; groups differ in architecture, seed, start and mask', () => {
  const grid = 'architectures: [densenet_small, resnext_small], seeds: [1, 2], folds: 3';
  const of = (members: string) => `submissions: [{ name: s, members: ${members} }]`;
  const rows = (members: string) => {
    const planned = planOfGrid(grid, of(members));
    const all = planned.members.map((each) => member([each.name, each.fold!], [0.25, 0.75]));
    return evaluateOutOfFold(planned, { members: all, scans }).submissions.map(({ name, members }) => [
      name,
      members.length,
    ]);
  };
  expect(rows('all')).toEqual([]);
  expect(rows('[densenet_small-seed2]')).toEqual([]);
  expect(rows('[densenet_small]')).toEqual([['s', 6]]);
  expect(groupsOf(planOfGrid(grid)).map(({ name, members }) => [name, members.length])).toEqual([
    ['densenet_small-seed1', 3],
    ['densenet_small-seed2', 3],
    ['resnext_small-seed1', 3],
    ['resnext_small-seed2', 3],
  ]);
});
