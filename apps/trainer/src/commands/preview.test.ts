// The command preview on a small data set.
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makePhantoms } from '@ct-ensemble/phantoms';
import { runCommand } from '../testing/run-command.ts';
import { fileName } from './preview.ts';

const evil = '<b onclick=x>&';
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-preview-'));
  const one = { covid: 1, 'non-covid': 1 };
  const data = join(folder, 'data');
  await makePhantoms({ folder: data, seed: 3, counts: { train: one, val: one, test: one }, size: 48 });
  const covid = join(data, 'train', 'covid');
  const [first] = await readdir(covid);
  await cp(join(covid, first!), join(covid, evil), { recursive: true });
  const slices = await readdir(join(covid, evil));
  await writeFile(join(covid, evil, slices[0]!), 'nothing');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const preview = (...more: string[]) =>
  runCommand(folder, ['preview', '--data', 'data', '--recipe', 'quick', '--volumes', 'volumes', ...more]);
const page = (out: string) => readFile(join(folder, out, 'index.html'), 'utf8');
const sheets = async (out: string) => (await readdir(join(folder, out, 'sheets'))).sort();

test('draws a sheet of every scan and a page with all of them', async () => {
  const first = await preview('--out', 'all');
  expect(first).toMatchObject({ code: 0 });
  expect(first.output).toMatch(/^7 scans, 7 contact sheets, 0 failed, \d+ findings: all\/index\.html$/m);
  const files = await sheets('all');
  expect(files).toHaveLength(14);
  const html = await page('all');
  for (const file of files) expect(html).toContain(`"sheets/${file}"`);
  const key = `train.covid.~3c~b~20~onclick~3d~x~3e~~26~`;
  expect(files).toContain(`${key}.png`);
  expect(html).toContain('train/covid/&lt;b onclick=x&gt;&amp;');
  expect(html).not.toContain('<b onclick');
  expect(html).toContain('<b>undecodable-slice</b>');
});

test('draws sheets of a number of scans, or of the named ones', async () => {
  expect(await preview('--out', 'two', '--scans', '2')).toMatchObject({ code: 0 });
  const two = await sheets('two');
  expect(two.filter((file) => file.endsWith('.png'))).toHaveLength(2);
  for (const file of two) {
    const [again, first] = await Promise.all(
      ['two', 'all'].map((out) => readFile(join(folder, out, 'sheets', file))),
    );
    expect(again!.equals(first!)).toBe(true); // a second run draws the same bytes
  }
  const [key] = /val\/covid\/ct_scan_\d+/.exec(await page('all'))!;
  expect(await preview('--out', 'one', '--scans', key)).toMatchObject({ code: 0 });
  expect(await sheets('one')).toEqual([`${fileName(key)}.jpg`, `${fileName(key)}.png`]);
  expect(await page('one')).toContain('1 of the 7 scans');
  const { code, output } = await preview('--out', 'none', '--scans', 'val/covid/ct_scan_99');
  expect(code).toBe(1);
  expect(output).toMatch(
    /^error: --scans: there is no scan val\/covid\/ct_scan_99 .*name keys such as train\/covid\//m,
  );
});

test('a scan that fails is on the page with the reason, and the exit code is 1', async () => {
  await writeFile(join(folder, 'data', 'train', 'covid', 'ct_scan_99.nii.gz'), 'nothing');
  const { code, output } = await preview('--out', 'failed', '--scans', '0');
  expect(code).toBe(1);
  expect(output).toMatch(/^8 scans, 0 contact sheets, 1 failed/m);
  expect(output).toMatch(/^FAILED train\/covid\/ct_scan_99: .*ct_scan_99\.nii\.gz/m);
  expect(await page('failed')).toMatch(/<b class="bad">train\/covid\/ct_scan_99<\/b> .*ct_scan_99\.nii\.gz/);
});

test('file names are safe, and every key has a name of its own', () => {
  const keys = [
    'train/a',
    'train.a',
    'train/A b',
    'train/../a',
    'train/中文',
    'train/~2e~',
    `train/${'é'.repeat(200)}`,
    `train/${'é'.repeat(201)}`,
  ];
  const names = keys.map(fileName);
  expect(new Set(names).size).toBe(keys.length);
  for (const name of names) expect(name).toMatch(/^[A-Za-z0-9_-][A-Za-z0-9._~-]{0,119}$/);
});
