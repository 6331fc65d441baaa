import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkSubmissions } from './submission-check.ts';

const classes = ['covid', 'non-covid'];
const scans = ['s1', 's2', 's3', 's4', 's5', 's6', 's7', 's8', 's9', 's10'];
const expected = { classes, scans };

let base: string;
let count = 0;
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'ct-ensemble-check-'));
});

async function submission(files: Record<string, string | Uint8Array>): Promise<string> {
  const folder = join(base, String(++count));
  await mkdir(folder);
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}
const lines = (names: readonly string[]) => names.map((name) => `${name}\n`).join('');
const whole = { 'covid.csv': lines(scans.slice(0, 4)), 'non-covid.csv': lines(scans.slice(4)) };
const errorsOf = async (folder: string) =>
  (await checkSubmissions([folder], expected)).submissions[0]!.findings.map(
    ({ level, line, message }) => `${level} ${line ?? '-'} ${message}`,
  );

test('a complete submission has no finding, as a folder and as files', async () => {
  const folder = await submission(whole);
  expect(await errorsOf(folder)).toEqual([]);
  const paths = ['covid.csv', 'non-covid.csv'].map((name) => join(folder, name));
  const { submissions } = await checkSubmissions(paths, expected);
  expect(submissions).toHaveLength(1);
  expect(submissions[0]!.counts).toEqual([
    { class: 'covid', scans: 4 },
    { class: 'non-covid', scans: 6 },
  ]);
});

test('missing, unknown, twice in a class, in two classes: each with its line', async () => {
  const folder = await submission({
    'covid.csv': 's1\ns2\ns2\ns11x\n',
    'non-covid.csv': lines(['s1', ...scans.slice(3)]),
  });
  expect(await errorsOf(folder)).toEqual([
    'error 1 s1 is in two classes, covid (line 1 of covid.csv) and non-covid',
    'error 3 s2 is named twice in this class, before in line 2 of covid.csv',
    expect.stringMatching(/^error 4 s11x is no scan of the data set/),
    'error - s3 is missing: it is in no class',
  ]);
});

test('missing and foreign files; names in another case', async () => {
  const folder = await submission({ 'Covid.csv': lines(scans), 'notes.txt': '' });
  const found = await errorsOf(folder);
  expect(found.slice(0, 4)).toEqual([
    'error - is the file of no class: the name must be covid.csv; the files are covid.csv, non-covid.csv',
    expect.stringMatching(/^error - is the file of no class/),
    'error - the file covid.csv is missing; a class without scans needs an empty file',
    'error - the file non-covid.csv is missing; a class without scans needs an empty file',
  ]);
  expect(found).toHaveLength(4 + scans.length);
});

test('dialects that readers accept are notes; a mixed one and other encodings are errors', async () => {
  const good = await submission({
    'covid.csv': '\uFEFFpatient\r\n"s1"\r\ns2\r\ns3\r\ns4',
    'non-covid.csv': 's5,s6,s7,s8,s9,s10\n',
  });
  expect(await errorsOf(good)).toEqual([
    'note - begins with a byte order mark',
    'note - has Windows line ends (CR LF)',
    'note - has no line end after the last line',
    'note - has quotes around names',
    'note 1 has the header patient',
    'note 1 has all names in one line',
  ]);
  const mixed = await submission({ ...whole, 'covid.csv': 's1,s2\ns3\ns4\n' });
  expect(await errorsOf(mixed)).toEqual([
    'error 1 names 2 scans, and the file has other lines: write one scan a line, or all in one line',
  ]);
  const wide = await submission({ ...whole, 'covid.csv': Buffer.from('\uFEFFs1\n', 'utf16le') });
  expect((await errorsOf(wide))[0]).toMatch(/UTF-16/);
  const latin = await submission({ ...whole, 'covid.csv': Buffer.from([0x73, 0xe4, 0x0a]) });
  expect((await errorsOf(latin))[0]).toBe('error - is not UTF-8 text: save it as UTF-8');
});

test('agreement of several submissions, by hand', async () => {
  const [a, b] = [
    await submission(whole),
    await submission({ 'covid.csv': lines(scans.slice(2, 6)), 'non-covid.csv': lines([...scans.slice(0, 2), ...scans.slice(6)]) }), // prettier-ignore
  ];
  const { agreement } = await checkSubmissions([a, b], expected);
  // 2 both covid, 4 both non-covid of 10; chance 0.4² + 0.6² = 0.52; kappa (0.6 − 0.52) / 0.48 = 1/6.
  expect(agreement).toEqual([{ a, b, scans: 10, share: expect.closeTo(0.6, 12), kappa: expect.closeTo(1 / 6, 12) }]); // prettier-ignore
  await expect(checkSubmissions([join(base, 'none')], expected)).rejects.toThrow('there is no such file');
});
