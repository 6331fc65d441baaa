import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  majorityClass,
  meanProbabilities,
  predictions,
  readProbabilities,
  writeProbabilities,
  type Probabilities,
} from './probabilities.ts';

const file = async () => join(await mkdtemp(join(tmpdir(), 'ct-ensemble-probabilities-')), 'val.json');

const member = (rows: Record<string, number[]>, rest: Partial<Probabilities> = {}): Probabilities => ({
  classes: ['non-covid', 'covid'],
  split: 'val',
  scans: Object.keys(rows).map((name, i) => ({ key: `val/${name}`, name, label: i % 2 })),
  rows: Object.values(rows),
  failed: [],
  ...rest,
});
const broken = { key: 'val/x', name: 'x', label: null, reason: 'no slice could be read' };

test('what is written comes back bit for bit, one scan a line', async () => {
  const path = await file();
  const p = member({ a: [1 / 3, 2 / 3], b: [1, 0] }, { failed: [broken] });
  await writeProbabilities(path, p);
  expect(await readProbabilities(path)).toEqual(p);
  const lines = (await readFile(path, 'utf8')).split('\n');
  expect(lines.filter((line) => line.includes('"key"'))).toHaveLength(3);
  expect(lines.find((line) => line.includes('val/b'))).toBe(
    '    {"key":"val/b","name":"b","label":1,"probabilities":[1,0]}',
  );
});

test('a split without scans is a file too', async () => {
  const path = await file();
  await writeProbabilities(path, member({}));
  expect((await readProbabilities(path)).scans).toEqual([]);
});

test.each([
  ['NaN', [NaN, 1], /val\.json: scan val\/a: .*within 0 and 1/],
  ['infinite', [Infinity, 0], /scan val\/a: .*within 0 and 1/],
  ['negative', [-0.1, 1.1], /scan val\/a: .*within 0 and 1/],
  ['not summing to 1', [0.5, 0.4], /scan val\/a: .*sum to 0\.9, not 1/],
  ['too short', [1], /scan val\/a: 1 probabilities \[1\] for 2 classes/],
])('a row that is %s is refused by file and scan', async (_, row, message) => {
  await expect(writeProbabilities(await file(), member({ a: row }))).rejects.toThrow(message);
});

test('a sum within 1e-4 of 1 passes, one beyond does not', async () => {
  const path = await file();
  await writeProbabilities(path, member({ a: [0.5, 0.50009] }));
  await expect(writeProbabilities(path, member({ a: [0.5, 0.50011] }))).rejects.toThrow(/sum/);
});

test('a file edited by hand is checked when read', async () => {
  const path = await file();
  await expect(readProbabilities(path)).rejects.toThrow(/val\.json: there is no such file/);
  await writeProbabilities(path, member({ a: [0.25, 0.75], b: [0.5, 0.5] }));
  const text = await readFile(path, 'utf8');
  const edit = async (from: string, to: string) => {
    expect(text).toContain(from);
    await writeFile(path, text.replace(from, to));
    return readProbabilities(path);
  };
  await expect(edit('0.25', '0.35')).rejects.toThrow(/val\.json: scan val\/a: .*sum/);
  for (const [text, shown] of [
    ['"0.25"', '"0\\.25"'],
    ['null', 'null'],
    ['1e999', 'Infinity'],
  ] as const)
    await expect(edit('0.25', text)).rejects.toThrow(
      new RegExp(
        `val\\.json: scan val/a: the probability of non-covid is ${shown}, not a finite number → start`,
      ),
    );
  for (const text of ['NaN', '-Infinity', 'nan'])
    await expect(edit('0.5,', `${text},`)).rejects.toThrow(
      new RegExp(`val\\.json: scan val/b: a probability is ${text}, not a finite number → start`),
    );
  await expect(edit('val/b', 'val/a')).rejects.toThrow(/val\.json: scan val\/a appears twice/);
  await expect(edit('"label":1', '"label":2')).rejects.toThrow(/scan val\/b: label 2/);
  await expect(edit('"split"', '"spilt"')).rejects.toThrow(/val\.json: is no file of probabilities/);
});

test('the mean aligns scans by key, not by position', () => {
  const mean = meanProbabilities([
    member({ a: [0.25, 0.75], b: [1, 0] }),
    member(
      { b: [0, 1], a: [0.75, 0.25] },
      {
        scans: [
          { key: 'val/b', name: 'b', label: 1 },
          { key: 'val/a', name: 'a', label: 0 },
        ],
      },
    ),
    member({ a: [0.5, 0.5], b: [0.5, 0.5] }),
  ]);
  expect(mean.scans.map((scan) => scan.name)).toEqual(['a', 'b']);
  expect(mean.rows).toEqual([
    [0.5, 0.5],
    [0.5, 0.5],
  ]);
  expect(predictions(mean)).toEqual([0, 0]);
});

test('the mean is taken in float64', () => {
  const [row] = meanProbabilities([member({ a: [0.1, 0.9] }), member({ a: [0.2, 0.8] })]).rows;
  expect(row![0]).toBeCloseTo(0.15, 15);
  expect(Math.fround(row![0]!)).not.toBe(row![0]);
});

test.each<[string, Probabilities, RegExp]>([
  ['classes', member({ a: [0, 1] }, { classes: ['covid', 'non-covid'] }), /one and two .*classes/],
  ['split', member({ a: [0, 1] }, { split: 'test' }), /one and two .*split val against test/],
  ['a missing scan', member({}), /only one has probabilities for scan val\/a/],
  ['a scan more', member({ a: [0, 1], b: [0, 1] }), /only two has probabilities for scan val\/b/],
  ['a failed scan', member({ a: [0, 1] }, { failed: [broken] }), /only two has a failure of scan val\/x/],
  [
    'a label',
    member({ a: [0, 1] }, { scans: [{ key: 'val/a', name: 'a', label: 1 }] }),
    /scan val\/a has label 0 against 1/,
  ],
])('members that disagree in %s are named', (_, other, message) => {
  expect(() => meanProbabilities([member({ a: [0, 1] }), other], ['one', 'two'])).toThrow(message);
});

test('an ensemble of nothing is refused', () => {
  expect(() => meanProbabilities([])).toThrow(/at least one member/);
});

test('the majority class is the one predicted most often, the first of equals', () => {
  expect(majorityClass(member({ a: [0, 1], b: [0, 1], c: [1, 0] }))).toBe(1);
  expect(majorityClass(member({ a: [0, 1], b: [1, 0] }))).toBe(0);
  expect(majorityClass(member({}))).toBe(0);
});
