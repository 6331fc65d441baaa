import { compareRows, predictionsOf, scoreIntervals } from '@ct-ensemble/evaluation';
import { fakeRun } from '../fake-run.fixture.ts';
import type { RowInput, RunInput } from '../input/run-input.ts';
import { sectionsOf } from '../tables/sections.ts';
import { reportOfRun } from './report-of-run.ts';

const quick = { resamples: 100 };

/** A run of two classes whose rows call exactly the scans of these indices wrong, with these probabilities of the called class. */
function runOf(
  labels: readonly (number | null)[],
  rows: Record<string, { wrong: readonly number[]; sure?: (i: number) => number }>,
  change: Partial<RunInput> = {},
): RunInput {
  const scans = labels.map((label, i) => ({
    key: `scan ${i}`,
    label,
    patient: `P${i}`,
    fold: null,
    groups: { centre: i % 2 === 0 ? 'even' : 'odd' },
    failure: null,
  }));
  const rowInputs = Object.entries(rows).map(([name, { wrong, sure = () => 0.8 }]): RowInput => ({
    name,
    kind: 'member',
    members: [name],
    submissions: [],
    probabilities: labels.map((label, i) => {
      const called = wrong.includes(i) ? 1 - (label ?? 0) : (label ?? 0);
      return called === 0 ? [sure(i), 1 - sure(i)] : [1 - sure(i), sure(i)];
    }),
  }));
  return { ...fakeRun(), splits: [{ split: 'val', scans, rows: rowInputs }], ...change };
}

const percent = (share: number) => Number((100 * share).toFixed(2));
const alternating = Array.from({ length: 40 }, (_, i) => i % 2);

test('the scores and intervals are those of the library, on the scans with a class', () => {
  const input = runOf([...alternating, null], { a: { wrong: [0, 1, 2] } });
  const { rows, scans, unlabelled, constant } = reportOfRun(input, quick).splits[0]!;
  expect([scans, unlabelled]).toEqual([40, 1]);
  expect(rows[0]!.scores.accuracy.estimate).toBeCloseTo(37 / 40, 12);
  expect(rows[0]!.confusion).toEqual([[18, 2], [1, 19]]); // prettier-ignore
  const { probabilities } = input.splits[0]!.rows[0]!;
  const predictions = predictionsOf({
    classes: 2,
    labels: alternating,
    probabilities: probabilities.slice(0, 40) as number[][],
  });
  const { interval } = scoreIntervals(predictions, quick).scores.macroF1;
  expect(rows[0]!.scores.macroF1.interval).toEqual(interval);
  // Always one class of two equally frequent ones: F1 ⅔ and 0.
  expect(constant.scores.macroF1).toBeCloseTo(1 / 3, 12);
});

test('scans of one patient are drawn together, and unknown patients are reported', () => {
  const known = fakeRun({ scans: 40 });
  const unknown = fakeRun({ scans: 40 });
  const [split] = unknown.splits;
  const scans = split!.scans.map((scan) => ({ ...scan, patient: null }));
  const [a, b] = [known, { ...unknown, splits: [{ ...split!, scans }] }].map((run) =>
    reportOfRun(run, quick),
  );
  expect([a!.splits[0]!.patients, b!.splits[0]!.patients]).toEqual([20, 40]);
  expect(a!.headline.join(' ')).not.toContain('patients of some scans are not known');
  expect(b!.headline.join(' ')).toContain('patients of some scans are not known');
});

test('a failed scan is called the class predicted most often, right or wrong', () => {
  const input = runOf(alternating, { a: { wrong: [1, 3, 5] } }); // 23 called 0, 17 called 1
  const [split] = input.splits;
  const scans = split!.scans.map((scan, i) => (i < 2 ? { ...scan, failure: 'broken' } : scan));
  const rows = split!.rows.map((row) => ({
    ...row,
    probabilities: row.probabilities.map((p, i) => (i < 2 ? null : p)),
  }));
  const { rows: scored, failed } = reportOfRun({ ...input, splits: [{ ...split!, scans, rows }] }, quick)
    .splits[0]!;
  expect(failed).toEqual([
    { key: 'scan 0', reason: 'broken' },
    { key: 'scan 1', reason: 'broken' },
  ]);
  // Scan 0 is called 0, rightly; scan 1 too, wrongly; with scans 3 and 5 three errors of class 1.
  expect(scored[0]!.confusion).toEqual([[20, 0], [3, 17]]); // prettier-ignore
  const f1 = [(2 * 19) / (2 * 19 + 2), (2 * 17) / (2 * 17 + 2)];
  expect(scored[0]!.macroF1WithoutFailed).toBeCloseTo((f1[0]! + f1[1]!) / 2, 12);
});

test('comparisons are those of the library; the words say what can be distinguished', () => {
  const input = runOf(alternating, {
    good: { wrong: [] },
    same: { wrong: [7] },
    bad: { wrong: Array.from({ length: 20 }, (_, i) => i) },
  });
  const report = reportOfRun(input, quick);
  const { pairs } = report.splits[0]!.comparisons;
  const predictions = (name: string) =>
    predictionsOf({
      classes: 2,
      labels: alternating,
      probabilities: input.splits[0]!.rows.find((row) => row.name === name)!.probabilities as number[][],
    });
  const expected = compareRows(
    ['good', 'same', 'bad'].map((name) => ({ name, predictions: predictions(name) })),
    quick,
  );
  expect(pairs.map(({ a, b, adjustedP }) => [a, b, adjustedP])).toEqual(
    expected.map(({ a, b, adjustedP }) => [a, b, adjustedP]),
  );
  expect(pairs.map(({ distinguishable }) => distinguishable)).toEqual([false, true, true]);
  expect(report.headline.join(' ')).toContain(
    '2 of 3 differences between rows can be distinguished from chance: good is better than bad; same is better than bad. The others cannot.',
  );
});

test('errors and pictures: the surest first, by kind', () => {
  const input = runOf(alternating, {
    a: { wrong: [4, 9, 11], sure: (i) => (i === 9 ? 0.99 : 0.6 + i / 200) },
  });
  const { errors, pictures } = reportOfRun(input, quick).splits[0]!;
  expect(errors.map(({ key }) => key)).toEqual(['scan 9', 'scan 11', 'scan 4']);
  expect(pictures.map(({ title, count }) => [title, count])).toEqual([
    ['false positive: non-covid called covid', 1],
    ['false negative: covid called non-covid', 2],
    ['true negative: non-covid called non-covid', 19],
    ['true positive: covid called covid', 18],
  ]);
  expect(pictures[1]!.scans.map(({ key }) => key)).toEqual(['scan 9', 'scan 11']);
  expect(pictures[2]!.scans.map(({ key }) => key)).toEqual(['scan 38', 'scan 36', 'scan 34', 'scan 32']);
});

test('groups: each with its scores, the worst named', () => {
  // Scans alternate in blocks of two, so that both groups have both classes.
  const labels = Array.from({ length: 40 }, (_, i) => (i >> 1) % 2);
  const input = runOf(labels, { a: { wrong: [1, 3, 5, 7, 8] } });
  const [group] = reportOfRun(input, quick).splits[0]!.groups;
  expect(group!.values.map(({ value, scans, accuracy }) => [value, scans, accuracy.estimate])).toEqual([
    ['even', 20, 19 / 20],
    ['odd', 20, 16 / 20],
  ]);
  expect(group!.words).toContain('The worst centre is odd: macro F1 0.8');
});

test('out of fold a combination is chosen; without folds one sentence says why none is', () => {
  const folded = reportOfRun(fakeRun({ splits: ['out-of-fold'], scans: 80 }), quick).splits[0]!;
  expect(folded.combination.rows.map(({ name }) => name)).toEqual([
    'Mean',
    'Weights of least log loss',
    'Greedy by macro F1',
    'Greedy by log loss',
    'Mean with a temperature',
    'Mean with a threshold',
  ]);
  const [mean, ...others] = folded.combination.rows;
  expect(mean!.macroF1.estimate).toBe(folded.rows.at(-1)!.scores.macroF1.estimate);
  expect(mean!.words).toBeNull();
  for (const { words } of others) expect(words).toContain('the mean');
  const val = reportOfRun(fakeRun({ scans: 80 }), quick).splits[0]!;
  expect(val.combination.rows).toEqual([]);
  expect(val.combination.notes).toEqual([expect.stringContaining('because the run has no folds')]);
});

test('members: agreement, disagreement and the curve of sizes end at the mean of all', () => {
  const split = reportOfRun(fakeRun({ members: 4, scans: 60 }), quick).splits[0]!;
  expect(split.main).toBe('mean of all');
  expect(split.sizeCurve.map(({ members, subsets }) => [members, subsets])).toEqual([[1, 4], [2, 6], [3, 4], [4, 1]]); // prettier-ignore
  const { estimate } = split.rows.at(-1)!.scores.macroF1;
  expect(split.sizeCurve.at(-1)!.mean).toBeCloseTo(estimate!, 12);
  expect(split.agreement).toHaveLength(6);
  for (const { votesAgainst } of split.doubt.scans) expect([0, 0.25, 0.5, 0.75]).toContain(votesAgainst);
  expect(split.doubt.riskCoverage.at(-1)!.risk).toBeCloseTo(
    1 - split.rows.at(-1)!.scores.accuracy.estimate!,
    12,
  );
});

test('conformal sets of 90 % hold about 90 % of the true classes', () => {
  const split = reportOfRun(fakeRun({ scans: 400, classes: ['a', 'b', 'c'] }), quick).splits[0]!;
  for (const { coverage, guarantee } of split.doubt.conformal) {
    expect(coverage).toBeGreaterThan(0.85); // 0.9 within three standard errors
    expect(coverage).toBeLessThan(0.95);
    expect(guarantee).toContain('at least 90 %');
  }
});

test("the paper's figures stand beside the rows of the same members, if the recipe is the paper's", () => {
  const names = [1, 2, 3].map((n) => `densenet161-${n}`);
  const rows = Object.fromEntries(names.map((name, i) => [name, { wrong: [i] }]));
  const change = { task: 'detection', asInPaper: true } as const;
  const own = reportOfRun(runOf(alternating, rows, change), quick).splits[0]!.paper!;
  expect(own.title).toBe('Covid detection, validation scans, as in table 3 of the paper');
  expect(own.rows.map(({ name, paper }) => [name, percent(paper!.macroF1)])).toEqual([
    ['densenet161-1', 88.34],
    ['densenet161-2', 88.83],
    ['densenet161-3', 87.81],
    ["competition's baseline", 77],
  ]);
  expect(own.notes[0]).toContain('484 scans of COV19-CT-DB; this run was scored on 40 scans');
  const other = reportOfRun(runOf(alternating, rows, { task: 'detection' }), quick).splits[0]!.paper!;
  expect(other.rows.map(({ paper }) => paper)).toEqual([null, null, null]);
});

test("the severity figures of the paper's table 6 are macro F1 of their classes", () => {
  const names = ['v3', 'v4', 'resnet-v2'].flatMap((name) => [1, 2].map((n) => `inception-${name}-${n}`));
  const pair = (at: number) => names.slice(at, at + 2);
  const input = runOf(alternating, { [names[1]!]: { wrong: [0] } }, { task: 'severity', asInPaper: true });
  const [split] = input.splits;
  const [row] = split!.rows;
  const ensembles = [pair(0), pair(2), pair(4), names].map((members, i) => ({ ...row!, name: `e${i}`, kind: 'ensemble' as const, members })); // prettier-ignore
  const report = reportOfRun(
    { ...input, splits: [{ ...split!, split: 'test', rows: [row!, ...ensembles] }] },
    quick,
  );
  const figures = report.splits[0]!.paper!.rows.map(({ paper }) => paper!);
  expect(figures.map(({ macroF1 }) => percent(macroF1))).toEqual([39.89, 43.04, 45.49, 44.37, 47.11, 40.3]);
  for (const { macroF1, f1 } of figures) {
    const mean = f1!.reduce((sum, value) => sum + value, 0) / 4;
    expect(Math.abs(mean - macroF1)).toBeLessThan(0.0001);
  }
});

test('absent classes: what they do is said', () => {
  const run = runOf(Array.from({ length: 20 }, () => 0), { a: { wrong: [] } }); // prettier-ignore
  const { notes, rows } = reportOfRun(run, quick).splits[0]!;
  expect(rows[0]!.scores.macroF1.estimate).toBe(0.5);
  expect(rows[0]!.byClass.recall[1]!.estimate).toBeNull();
  expect(notes.join(' ')).toContain('No scan is of the class covid');
  expect(notes.join(' ')).toContain('counts 0 in the macro F1, as in the competition: covid.');
});

test('missing members and submissions are named; equal inputs give equal reports', () => {
  const run = fakeRun({ scans: 30 });
  const members = run.members.map((member, i) =>
    i === 1 ? { ...member, state: 'not trained' as const } : member,
  );
  const submissions = [
    { name: 'all', members: ['member-1', 'member-2'], choice: null, missing: ['member-2'] },
  ];
  const [a, b] = [0, 1].map(() => reportOfRun({ ...run, members, submissions }, quick));
  expect(a!.headline).toContain('Missing from the tables: member-2 (not trained).');
  expect(a!.headline).toContain('Submissions that cannot be scored: all, which needs member-2.');
  expect(JSON.stringify(a)).toBe(JSON.stringify(b));
});

/** An out-of-fold run with a submission that calls every scan of these indices otherwise than the mean does. */
function runWithChoice(isStretched: boolean): RunInput {
  const run = fakeRun({ splits: ['out-of-fold'], scans: 60 });
  const [split] = run.splits;
  const mean = split!.rows.at(-1)!;
  const probabilities = mean.probabilities.map((row, i) => (row !== null && i < 10 ? row.toReversed() : row));
  const choice = { words: 'greedy: member-1 1.00', isStretched, mean: mean.probabilities };
  const chosen: RowInput = {
    ...mean,
    name: 'selected',
    kind: 'chosen',
    submissions: ['selected'],
    probabilities,
    choice,
  };
  return { ...run, splits: [{ ...split!, rows: [...split!.rows.slice(0, -1), chosen, mean] }] };
}

test('a submission that chooses has a row of its own, and stands beside the mean of the same members', () => {
  const split = reportOfRun(runWithChoice(false), quick).splits[0]!;
  expect(split.main).toBe('mean of all');
  const row = split.rows.find(({ name }) => name === 'selected')!;
  const mean = split.rows.at(-1)!;
  expect([row.kind, row.choice]).toEqual(['chosen', 'greedy: member-1 1.00']);
  const [chosen] = split.combination.chosen;
  expect(chosen!.macroF1).toEqual(row.scores.macroF1);
  expect(chosen!.mean).toEqual(mean.scores.macroF1);
  expect(chosen!.difference.estimate).toBeCloseTo(
    row.scores.macroF1.estimate! - mean.scores.macroF1.estimate!,
    12,
  );
  expect(chosen!.words).toMatch(/^selected has a (higher|lower) macro F1 than the mean of the same members/);
  // It is no member: neither the curve of sizes nor the agreement of members has it.
  expect(split.sizeCurve.at(-1)!.members).toBe(3);
  expect(split.agreement).toHaveLength(3);
  expect(row.scores.logLoss.estimate).not.toBeNull();
});

test('a threshold stretches probabilities: their own scores are left out and the tables say so', () => {
  const report = reportOfRun(runWithChoice(true), quick);
  const { scores } = report.splits[0]!.rows.find(({ name }) => name === 'selected')!;
  expect([scores.logLoss.estimate, scores.brier.estimate, scores.ece.estimate]).toEqual([null, null, null]);
  expect(scores.macroF1.estimate).not.toBeNull();
  const text = JSON.stringify(sectionsOf(report));
  expect(text).toContain('A threshold stretches the probabilities of selected');
  expect(text).toContain('each fold is answered by the choice that was made on the other folds');
});

test('of more than eight rows each is compared with the mean of most members, and the notes say so', () => {
  const few = reportOfRun(fakeRun({ members: 7, scans: 30 }), quick).splits[0]!.comparisons;
  expect([few.against, few.pairs.length]).toEqual([null, 28]);
  expect(few.notes[0]).toBe('All 8 rows are compared with each other: 28 pairs.');
  const report = reportOfRun(fakeRun({ members: 9, scans: 30 }), quick);
  const many = report.splits[0]!.comparisons;
  expect(many.against).toBe('mean of all');
  expect(many.pairs.map(({ a, b }) => [a, b])).toEqual(
    Array.from({ length: 9 }, (_, i) => [`member-${i + 1}`, 'mean of all']),
  );
  expect(many.notes[0]).toContain(
    'Each of the other 9 rows is compared with mean of all, the mean of most members. The 10 rows would make 45 pairs; the other 36 pairs are not tested',
  );
  expect(report.headline.join(' ')).toContain('9 differences of a row from mean of all');
});

test('scans without a known class get doubt from the members and sets calibrated on the scans with one', () => {
  const run = fakeRun({ splits: ['out-of-fold', 'test'], scans: 60, members: 3 });
  const [oof, test] = run.splits;
  const scans = test!.scans.map((scan) => ({ ...scan, label: null }));
  const report = reportOfRun({ ...run, splits: [oof!, { ...test!, scans }] }, quick);
  expect(report.splits.map(({ split }) => split)).toEqual(['out-of-fold']);
  const [doubt] = report.unlabelled;
  expect([doubt!.split, doubt!.scans.length, doubt!.failed]).toEqual([
    'test',
    59,
    [{ key: 'test/scan_3', reason: 'unreadable' }],
  ]);
  // The same scans with their classes have the same doubt.
  const labelled = reportOfRun({ ...run, splits: [oof!, test!] }, quick).splits[1]!.doubt.scans;
  const kept = labelled.filter(({ key }) => key !== 'test/scan_3');
  doubt!.scans.forEach(({ key, predicted, confidence, entropy, mutualInformation, votesAgainst }, i) =>
    expect({ key, predicted, confidence, entropy, mutualInformation, votesAgainst }).toEqual({
      key: kept[i]!.key,
      predicted: kept[i]!.predicted,
      confidence: kept[i]!.confidence,
      entropy: kept[i]!.entropy,
      mutualInformation: kept[i]!.mutualInformation,
      votesAgainst: kept[i]!.votesAgainst,
    }),
  );
  // LAC by hand: the threshold is the ⌈(n + 1)·0.9⌉-th smallest of 1 − probability of the true class.
  const main = oof!.rows.at(-1)!;
  const losses = oof!.scans
    .flatMap(({ label, failure }, i) => (failure === null ? [1 - main.probabilities[i]![label!]!] : []))
    .sort((a, b) => a - b);
  const threshold = losses[Math.ceil((losses.length + 1) * 0.9) - 1]!;
  for (const { key, conformal } of doubt!.scans) {
    const row = test!.rows.at(-1)!.probabilities[test!.scans.findIndex((scan) => scan.key === key)]!;
    expect(conformal).toEqual([0, 1].filter((k) => 1 - row[k]! <= threshold));
  }
  expect(doubt!.answered).toBe(doubt!.scans.filter(({ conformal }) => conformal!.length === 1).length);
  expect(doubt!.perClass.reduce((a, b) => a + b)).toBe(59);
  const [title] = sectionsOf(report).filter(({ id }) => id === 'test-unlabelled');
  expect(title!.title).toBe('Test scans without a known class');
});

test('gains of test-time augmentation stand in the section of their split', () => {
  const gain = { estimate: 0.02, interval: [-0.01, 0.05] as [number, number] };
  const of = (split: 'val' | 'test', row: string) => ({ split, row, augmentation: 'flips', scans: 40, plain: 0.8, augmented: 0.82, gain }); // prettier-ignore
  const run = {
    ...fakeRun({ scans: 40 }),
    augmentation: [of('test', 'a'), of('val', 'b'), of('val', 'ensemble')],
  };
  const report = reportOfRun(run, quick);
  expect(report.splits[0]!.augmentation.map(({ row }) => row)).toEqual(['b', 'ensemble']);
  const text = JSON.stringify(sectionsOf(report));
  expect(text).toContain(
    'The mean of all members gains 0.020 (95 % interval −0.010 to 0.050). The interval holds 0: these scans cannot show that augmentation changes the score.',
  );
});
