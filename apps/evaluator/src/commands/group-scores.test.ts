import { fakeRun } from '../report/fake-run.fixture.ts';
import type { RunInput } from '../report/input/run-input.ts';
import { groupScoresOf, groupText } from './group-scores.ts';

/** Forty scans of two classes in two centres: in A two non-covid scans are called covid, in B one covid scan is called non-covid. */
function run(): RunInput {
  const labels = Array.from({ length: 40 }, (_, i) => i % 2);
  const scans = labels.map((label, i) => ({
    key: `val/s${i}`,
    label,
    patient: `P${i}`,
    fold: null,
    groups: { centre: i < 20 ? 'A' : 'B', scanner: 'the only one' },
    failure: null,
  }));
  const probabilities = labels.map((label, i) => {
    const called = [0, 2, 21].includes(i) ? 1 - label : label;
    return called === 0 ? [0.8, 0.2] : [0.2, 0.8];
  });
  const row = { name: 'm', kind: 'member' as const, members: ['m'], submissions: [], probabilities };
  return { ...fakeRun(), splits: [{ split: 'val', scans, rows: [row] }] };
}

// Of ten scans of each class in a centre. A: non-covid 8 right, 0 called so wrongly; covid 10 right, 2 called so wrongly.
const inA = ((2 * 8) / (2 * 8 + 2) + (2 * 10) / (2 * 10 + 2)) / 2;
const inB = ((2 * 10) / (2 * 10 + 1) + (2 * 9) / (2 * 9 + 1)) / 2;

test('macro F1 and accuracy of each group, by hand; a column with one value is no group', () => {
  const [scores, ...others] = groupScoresOf(run());
  expect(others).toEqual([]);
  expect(scores!.split).toBe('val');
  expect(scores!.columns.map(({ column }) => column)).toEqual(['centre']);
  const { values } = scores!.columns[0]!;
  expect(values.map(({ value, scans, patients }) => [value, scans, patients])).toEqual([
    ['A', 20, 20],
    ['B', 20, 20],
  ]);
  expect(values[0]!.macroF1!.estimate).toBeCloseTo(inA, 12);
  expect(values[1]!.macroF1!.estimate).toBeCloseTo(inB, 12);
  expect(values.map(({ accuracy }) => accuracy.estimate)).toEqual([18 / 20, 19 / 20]);
  for (const { macroF1 } of values) {
    const [low, high] = macroF1!.interval!;
    expect(low).toBeLessThan(macroF1!.estimate!);
    expect(high).toBeGreaterThan(macroF1!.estimate!);
  }
});

test('a group without a class has no macro F1, and then accuracy names the worst', () => {
  const input = run();
  const [split] = input.splits;
  const scans = split!.scans.map((scan) => ({
    ...scan,
    groups: { class: scan.label === 0 ? 'healthy' : 'ill' },
  }));
  const [scores] = groupScoresOf({ ...input, splits: [{ ...split!, scans }] });
  const { values, words } = scores!.columns[0]!;
  expect(values.map(({ macroF1 }) => macroF1)).toEqual([null, null]);
  expect(values.map(({ accuracy }) => accuracy.estimate)).toEqual([18 / 20, 19 / 20]);
  expect(words).toMatch(
    /^The worst class is healthy: accuracy 0\.900 .* on 20 scans, against 0\.925 on all\./,
  );
  expect(words).toContain('not every group has scans of every class');
});

test('the text has a line a group and a sentence about the worst', () => {
  const lines = groupText(groupScoresOf(run())[0]!).split('\n');
  expect(lines[0]).toBe('Validation scans: scores by centre, with 95 % intervals');
  expect(lines[1]).toMatch(
    new RegExp(
      `^  A: 20 scans of 20 patients, macro F1 ${inA.toFixed(3)} \\(0\\.\\d{3} … [01]\\.\\d{3}\\), accuracy 0\\.900 `,
    ),
  );
  expect(lines[3]).toContain(`The worst centre is A: macro F1 ${inA.toFixed(3)}`);
});
