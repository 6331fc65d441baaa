import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import type { Probabilities } from './probabilities.ts';
import {
  checkSubmission,
  failedReport,
  makeSubmission,
  readSubmission,
  writeSubmission,
  type Submission,
} from './submission.ts';

const folder = () => mkdtemp(join(tmpdir(), 'ct-ensemble-submission-'));
const classes = ['covid', 'non-covid'];
const scan = (name: string) => ({ key: `test/${name}`, name, label: null });

const test4: Probabilities = {
  classes,
  split: 'test',
  scans: ['s0', 's1', 's2', 's3'].map(scan),
  rows: [
    [0.9, 0.1],
    [0.5, 0.5], // a tie goes to the lower class and stays in
    [0.2, 0.8],
    [0.49999, 0.50001],
  ],
  failed: [{ ...scan('s4'), reason: 'no slice could be read' }],
};

describe('makeSubmission', () => {
  test('every scan is named once: a tie by the lower class, a failed one by the majority', () => {
    expect(makeSubmission(test4)).toEqual({ covid: ['s0', 's1', 's4'], 'non-covid': ['s2', 's3'] });
    expect(failedReport(test4)).toEqual(['test/s4: no slice could be read; submitted as covid']);
  });

  test('the majority need not be the first class', () => {
    const p = { ...test4, rows: test4.rows.map(([a, b]) => [b!, a!]) };
    // Reversed: s0 non-covid, s1 (tie) covid, s2 and s3 covid → covid; with s1 turned too, two against two.
    expect(makeSubmission(p)).toEqual({ covid: ['s1', 's2', 's3', 's4'], 'non-covid': ['s0'] });
    const mostly = { ...test4, rows: test4.rows.map(() => [0.1, 0.9]) };
    expect(makeSubmission(mostly)).toEqual({ covid: [], 'non-covid': ['s0', 's1', 's2', 's3', 's4'] });
  });

  test('failedAs decides, and must be a class', () => {
    expect(makeSubmission(test4, { failedAs: 'non-covid' })['non-covid']).toEqual(['s2', 's3', 's4']);
    expect(() => makeSubmission(test4, { failedAs: 'noncovid' })).toThrow(/did you mean "non-covid"/);
  });

  test('two scans of one name are refused', () => {
    const p = { ...test4, failed: [{ ...scan('s0'), key: 'test/other/s0', reason: '' }] };
    expect(() => makeSubmission(p)).toThrow(/doubled scans: s0/);
  });
});

describe('checkSubmission', () => {
  const expected = { classes, scans: ['a', 'b', 'c'] };

  test('a complete one passes', () => {
    expect(() => checkSubmission({ covid: ['a', 'c'], 'non-covid': ['b'] }, expected)).not.toThrow();
  });

  test.each<[string, Submission, RegExp]>([
    ['a missing scan', { covid: ['a'], 'non-covid': ['b'] }, /missing scans: c/],
    ['a scan in two classes', { covid: ['a', 'b'], 'non-covid': ['b', 'c'] }, /doubled scans: b/],
    ['a scan twice in one class', { covid: ['a', 'a'], 'non-covid': ['b', 'c'] }, /doubled scans: a/],
    ['an unknown scan', { covid: ['a', 'b', 'x'], 'non-covid': ['c'] }, /unknown scans: x/],
    ['a missing class', { covid: ['a', 'b', 'c'] }, /missing classes: non-covid/],
    [
      'an unknown class',
      { covid: ['a'], 'non-covid': ['b'], noncovid: ['c'] },
      /unknown classes: noncovid \(did/,
    ],
  ])('%s is reported', (_, submission, message) => {
    expect(() => checkSubmission(submission, expected)).toThrow(message);
  });

  test('all problems are reported at once, long lists shortened', () => {
    const scans = Array.from({ length: 15 }, (_, i) => `n${i}`);
    expect(() => checkSubmission({ covid: ['x'] }, { classes, scans })).toThrow(
      /missing classes: non-covid; missing scans: n0, .*n9 and 5 more; unknown scans: x/,
    );
  });

  test.each(['a,b', 'a\nb', 'a\rb', 'a"b', ' a', '', 'patient', 'Patient'])(
    'the name %j, which a dialect would break, is refused',
    (name) => {
      const submission = { covid: [name], 'non-covid': [] };
      expect(() => checkSubmission(submission, { classes, scans: [name] })).toThrow(/cannot hold: "/);
    },
  );
});

describe('files', () => {
  const submission = { covid: ['s2', 's10'], 'non-covid': ['s1'] };
  const expected = { classes, scans: ['s1', 's2', 's10'] };

  test('one name a line without header, and back', async () => {
    const at = join(await folder(), 'deep');
    const files = await writeSubmission(at, submission, expected);
    expect(files).toEqual([join(at, 'covid.csv'), join(at, 'non-covid.csv')]);
    expect(await readFile(files[0]!, 'utf8')).toBe('s2\ns10\n');
    expect(await readSubmission(at, classes)).toEqual(submission);
  });

  test('an earlier submission is replaced, an empty class has an empty file', async () => {
    const at = await folder();
    await writeSubmission(at, submission, expected);
    const all = { covid: [], 'non-covid': ['s1', 's2', 's10'] };
    await writeSubmission(at, all, expected);
    expect((await readdir(at)).sort()).toEqual(['covid.csv', 'non-covid.csv']);
    expect(await readFile(join(at, 'covid.csv'), 'utf8')).toBe('');
    expect(await readSubmission(at, classes)).toEqual(all);
  });

  test('class names that cannot be file names, and names of properties of every object, are written and read back', async () => {
    const names = ['../x', '__proto__', 'constructor', 'toString', 'a, "b"', 'Müde', 'A', 'a'];
    const p: Probabilities = {
      classes: names,
      split: 'test',
      scans: names.map((_, i) => scan(`s${i}`)),
      rows: names.map((_, i) => names.map((_, k) => (i === k ? 1 : 0))),
      failed: [],
    };
    const all = makeSubmission(p);
    const at = await folder();
    const files = await writeSubmission(at, all, { classes: names, scans: p.scans.map(({ name }) => name) });
    expect(files.map((file) => relative(at, file))).toEqual(
      ['x', 'proto', 'constructor', 'toString', 'a_b', 'M_de', 'A', 'a_2'].map((name) => `${name}.csv`),
    );
    expect((await readdir(at)).sort()).toEqual(files.map((file) => relative(at, file)).sort());
    const back = await readSubmission(at, names);
    expect(Object.keys(back)).toEqual(names);
    for (const [i, name] of names.entries()) {
      expect(Object.hasOwn(back, name)).toBe(true);
      expect(back[name]).toEqual([`s${i}`]);
    }
  });

  test('what is not valid is not written, and the earlier files stay', async () => {
    const at = await folder();
    await writeSubmission(at, submission, expected);
    const wrong = { covid: ['s2'], 'non-covid': ['s1'] };
    await expect(writeSubmission(at, wrong, expected)).rejects.toThrow(/missing scans: s10/);
    expect(await readSubmission(at, classes)).toEqual(submission);
  });

  test('CSV files of other classes are refused, not mixed in and not deleted', async () => {
    const at = await folder();
    await writeFile(join(at, 'mild.csv'), 's1\n');
    await writeFile(join(at, 'notes.txt'), 'mine');
    await expect(writeSubmission(at, submission, expected)).rejects.toThrow(/holds mild\.csv/);
    expect((await readdir(at)).sort()).toEqual(['mild.csv', 'notes.txt']);
  });

  test.each([
    ['one name a line', 's1\ns2\ns10\n'],
    ['one name a line, no last newline', 's1\ns2\ns10'],
    ['header patient', 'patient\ns1\ns2\ns10\n'],
    ['header Patient, BOM, CRLF, blank lines', '\uFEFFPatient\r\n\r\ns1\r\ns2\r\n\r\ns10\r\n'],
    ['all in one row', 's1,s2,s10\n'],
    ['one row, quotes, spaces, trailing comma', '"s1", "s2", "s10",\r\n'],
    ['one row in one pair of quotes', '"s1, s2, s10"'],
    ['lines with quotes and trailing commas', '"s1",\n"s2",\n"s10",\n'],
    ['header above one row', 'patient\ns1,s2,s10\n'],
    ['old line ends', 's1\rs2\rs10\r'],
  ])('dialect: %s', async (_, text) => {
    const at = await folder();
    await writeFile(join(at, 'covid.csv'), text);
    expect(await readSubmission(at, ['covid'])).toEqual({ covid: ['s1', 's2', 's10'] });
  });

  test.each(['', '\n', 'patient\n', '\uFEFF'])('a class without scans: %j', async (text) => {
    const at = await folder();
    await writeFile(join(at, 'covid.csv'), text);
    expect(await readSubmission(at, ['covid'])).toEqual({ covid: [] });
  });

  test('an absent file and a table of several columns are named', async () => {
    const at = await folder();
    await mkdir(join(at, 'sub'));
    await expect(readSubmission(at, classes)).rejects.toThrow(/covid\.csv: the submission lacks this file/);
    await writeFile(join(at, 'covid.csv'), '0,s1\n1,s2\n');
    await expect(readSubmission(at, ['covid'])).rejects.toThrow(/covid\.csv: 2 rows, .*2 names: 0, s1/);
  });
});
