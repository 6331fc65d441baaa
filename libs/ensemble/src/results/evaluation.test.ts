import { renderEvaluation } from './evaluation-text.ts';
import { evaluate, evaluateSubsets, type EvaluatedMember } from './evaluation.ts';
import type { Probabilities } from './probabilities.ts';

const labels = [0, 0, 1, 1];
/** A member that gives class 0 these probabilities. */
const member = (name: string, covid: number[], rest: Partial<Probabilities> = {}): EvaluatedMember => ({
  name,
  probabilities: {
    classes: ['covid', 'non-covid'],
    split: 'val',
    scans: covid.map((_, i) => ({ key: `val/s${i}`, name: `s${i}`, label: labels[i]! })),
    rows: covid.map((p) => [p, 1 - p]),
    failed: [],
    ...rest,
  },
});

const a = member('a', [0.75, 0.25, 0.25, 0.25]); // wrong on s1
const b = member('b', [0.625, 0.875, 0.625, 0.25]); // wrong on s2
const c = member('c', [0.25, 0.25, 0.75, 0.75]); // wrong on all

test('every subset, by size, then order; scores worked by hand', () => {
  const subsets = evaluateSubsets([a, b, c]);
  expect(subsets.map(({ subset }) => subset.join(''))).toEqual(['a', 'b', 'c', 'ab', 'ac', 'bc', 'abc']);
  const scores = Object.fromEntries(subsets.map(({ subset, scores }) => [subset.join(''), scores]));
  // a: TP 1, FN 1, FP 0 for covid → 2/3; non-covid TP 2, FP 1 → 4/5.
  expect(scores['a']!.f1[0]).toBeCloseTo(2 / 3, 12);
  expect(scores['a']!.f1[1]).toBeCloseTo(4 / 5, 12);
  expect(scores['a']!.macroF1).toBeCloseTo(11 / 15, 12);
  expect(scores['c']).toEqual({
    macroF1: 0,
    f1: [0, 0],
    accuracy: 0,
    matrix: [
      [0, 2],
      [2, 0],
    ],
  });
  // a + b: 0.6875, 0.5625, 0.4375, 0.25: the mean is right where each alone is wrong.
  expect(scores['ab']!.macroF1).toBe(1);
  // a + c: 0.5, 0.25, 0.5, 0.5: ties go to covid → TP 1, FN 1, FP 2; non-covid 0.
  expect(scores['ac']!.matrix).toEqual([
    [1, 1],
    [2, 0],
  ]);
});

test('more than eight members: singles, pairs and the whole', () => {
  const many = (n: number) => Array.from({ length: n }, (_, i) => member(`m${i}`, [1, 1, 0, 0]));
  expect(evaluateSubsets(many(8))).toHaveLength(2 ** 8 - 1);
  const nine = evaluateSubsets(many(9));
  expect(nine).toHaveLength(9 + 36 + 1);
  expect(nine.at(-1)!.subset).toHaveLength(9);
});

test('a failed scan with a label is answered by the majority, one without label is left out', () => {
  const failed = [
    { key: 'val/f0', name: 'f0', label: 0, reason: 'empty' },
    { key: 'val/f1', name: 'f1', label: 1, reason: 'empty' },
    { key: 'val/f2', name: 'f2', label: null, reason: 'empty' },
  ];
  const evaluation = evaluate([{ ...a, probabilities: { ...a.probabilities, failed } }]);
  // a answers non-covid three times of four, so f0 is wrong and f1 right.
  expect(evaluation.subsets[0]!.scores.matrix).toEqual([
    [1, 2],
    [0, 3],
  ]);
  expect(evaluation.scans).toBe(6);
  expect(evaluation.failed.map(({ key }) => key)).toEqual(['val/f0', 'val/f1']);
  expect(evaluation.unlabelled).toBe(1);
  // Without them a has F1 2/3 and 4/5, see above.
  expect(evaluation.subsets[0]!.withoutFailed!.macroF1).toBeCloseTo(11 / 15, 12);
  const text = renderEvaluation(evaluation);
  expect(text).toContain('2 of them failed');
  expect(text).toMatch(/^members .* F1 without failed$/m);
  expect(text).toMatch(/^a .* 73\.33$/m);
  expect(evaluate([a]).subsets[0]!.withoutFailed).toBeNull();
});

test('the best constant answer of the real validation split', () => {
  // 215 covid and 269 non-covid scans: always non-covid has F1 = 2·269 / (269 + 484), and half of it as macro F1.
  const scans = Array.from({ length: 484 }, (_, i) => ({
    key: `k${i}`,
    name: `n${i}`,
    label: i < 215 ? 0 : 1,
  }));
  const { constant } = evaluate([
    member(
      'a',
      scans.map(() => 1),
      { scans },
    ),
  ]);
  expect(constant.class).toBe('non-covid');
  expect(constant.scores.macroF1).toBeCloseTo(269 / 753, 12);
});

test('every submission of the recipe has a row by its name, however many members there are', () => {
  const many = (n: number) => Array.from({ length: n }, (_, i) => member(`m${i}`, [1, 1, 0, i / 100]));
  const names = (text: string) =>
    text
      .split('\n\n')[1]!
      .split('\n')
      .map((line) => line.split(/ {2,}/)[0]);
  const three = { name: 'first3', members: ['m0', 'm1', 'm2'] };
  const twelve = evaluate(many(12), [three, { name: 'one', members: ['m4'] }]);
  expect(twelve.subsets).toHaveLength(12 + 66 + 1 + 1);
  expect(twelve.subsets.at(-2)).toMatchObject({ subset: three.members, submissions: ['first3'] });
  expect(twelve.subsets.at(-1)!.subset).toHaveLength(12);
  const singles = (n: number) => Array.from({ length: n }, (_, i) => `${i + 1}: m${i}`);
  expect(names(renderEvaluation(twelve))).toEqual([
    ...['members', ...singles(12)],
    ...['first3 = mean of 1–3', 'one = m4', 'mean of 1–12', 'always covid'],
  ]);

  const all = { name: 'all', members: many(30).map(({ name }) => name) };
  const odd = { name: 'odd', members: ['m0', 'm2', 'm4', 'm5'] };
  const text = renderEvaluation(evaluate(many(30), [odd, all]));
  expect(names(text)).toEqual([
    ...['members', ...singles(30)],
    ...['odd = mean of 1, 3, 5–6', 'all = mean of 1–30', 'always covid'],
  ]);
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);

  // Up to four members: every subset; a submission that is one has its name, and is averaged in its own order.
  const few = evaluate([a, b], [{ name: 'both', members: ['b', 'a'] }]);
  expect(few.subsets.map(({ subset, submissions }) => [subset.join(''), submissions])).toEqual([
    ['a', []],
    ['b', []],
    ['ba', ['both']],
    ['ab', []],
  ]);
  expect(names(renderEvaluation(few))).toEqual([
    'members',
    'a',
    'b',
    'both = b + a',
    'a + b',
    'always covid',
  ]);
  const named = evaluate(
    [a, b, c],
    [
      { name: 'b', members: ['b'] },
      { name: 'best', members: ['a', 'b'] },
    ],
  );
  expect(names(renderEvaluation(named))).toEqual([
    'members',
    'a',
    'b',
    'c',
    'best = a + b',
    'a + c',
    'b + c',
    'a + b + c',
    'always covid',
  ]);
  expect(() => evaluate([a], [three])).toThrow(/The submission first3 names m0, which is no member/);
});

test('many classes are numbered where their names would make the table too wide', () => {
  const classes = Array.from({ length: 6 }, (_, i) => `a class with a long name ${i}`);
  const scans = classes.map((name, i) => ({ key: `val/${i}`, name, label: i }));
  const rows = classes.map((_, i) => classes.map((_, k) => Number(i === k)));
  const p: Probabilities = { classes, split: 'val', scans, rows, failed: [] };
  const text = renderEvaluation(evaluate([{ name: 'a', probabilities: p }]));
  expect(text).toMatch(/^The classes are \[1\] a class with a long name 0, \[2\] /m);
  expect(text).toMatch(/^members +macro F1 +F1 \[1\] .* F1 \[6\] +accuracy$/m);
  expect(text).toMatch(/^ +\[1\] +\[2\] +\[3\] +\[4\] +\[5\] +\[6\]$/m);
});

test('the text holds the same table', () => {
  expect(renderEvaluation(evaluate([a, b]))).toBe(`4 scans of split val, scores in %.

members       macro F1  F1 covid  F1 non-covid  accuracy
a                73.33     66.67         80.00     75.00
b                73.33     80.00         66.67     75.00
a + b           100.00    100.00        100.00    100.00
always covid     33.33     66.67          0.00     50.00

Confusion matrix of a + b (rows: truth, columns: prediction)
           covid  non-covid
covid          2          0
non-covid      0          2
`);
});

test('no member, one name twice, members that disagree and no label at all are refused', () => {
  expect(() => evaluate([])).toThrow(/no member/);
  expect(() => evaluateSubsets([])).toThrow(/no member/);
  expect(() => evaluate([a, a])).toThrow(/Two members are named a/);
  expect(() => evaluate([a, member('z', [1, 0])])).toThrow(
    /a and z cannot be averaged: only a has .*val\/s2/,
  );
  const scans = [{ key: 'test/x', name: 'x', label: null }];
  expect(() => evaluate([member('a', [1], { scans, split: 'test' })])).toThrow(/No scan of split test/);
});
