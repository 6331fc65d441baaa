// The command prepare on a small data set.
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makePhantoms } from '@ct-ensemble/phantoms';
import { runCommand } from '../testing/run-command.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-prepare-'));
  const one = { covid: 1, 'non-covid': 1 };
  await makePhantoms({
    folder: join(folder, 'data'),
    seed: 3,
    counts: { train: one, val: one, test: one },
    size: 48,
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const prepare = (...more: string[]) => prepareFrom('data', ...more);
const prepareFrom = (data: string, ...more: string[]) =>
  runCommand(folder, [
    ...['prepare', '--data', data, '--out', 'volumes'],
    ...(more.includes('--recipe') ? more : ['--recipe', 'quick', ...more]),
  ]);

test('prepares every scan once and reports it', async () => {
  const first = await prepare();
  expect(first).toMatchObject({ code: 0 });
  expect(first.output).toMatch(
    /^6 scans, 6 read now in \S+ s, 0 failed; of \d+ slices \d+ kept, 0 dropped; volumes of 16×32×32 in volumes$/m,
  );
  const again = JSON.parse((await prepare('--json')).output) as { fresh: number; scans: { failure: null }[] };
  expect(again.fresh).toBe(0);
  expect(again.scans).toHaveLength(6);
});

test('a scan that fails is reported with its name, and the exit code is 1', async () => {
  await writeFile(join(folder, 'data', 'train', 'covid', 'ct_scan_99.nii.gz'), 'nothing');
  const { code, output } = await prepare();
  expect(code).toBe(1);
  expect(output).toMatch(/^7 scans, 1 read now .* 1 failed/m);
  expect(output).toMatch(/^FAILED train\/covid\/ct_scan_99: .*ct_scan_99\.nii\.gz/m);
});

test('accepts a folder of scans in no particular layout', async () => {
  const { code, output } = await prepareFrom(join('data', 'test'), '--json');
  expect(code).toBe(0);
  const { scans } = JSON.parse(output) as { scans: { key: string; split: string; label: null }[] };
  expect(scans).toMatchObject([
    { key: 'test/test_ct_scan_0', split: 'test', label: null, name: 'test_ct_scan_0' },
    { key: 'test/test_ct_scan_1', split: 'test', label: null, name: 'test_ct_scan_1' },
  ]);
});

test('a table of scans gives classes, the recipe the splits', async () => {
  const places = ['train/covid', 'train/non-covid', 'validation/covid', 'validation/non-covid'];
  const scans = [...places.map((path) => `${path}/ct_scan_0`), 'test/test_ct_scan_0', 'test/test_ct_scan_1'];
  const rows = scans.map((path, i) => `${path},${['constructor', '"a, b"'][i % 2]},P${i},site ${i}`);
  await writeFile(join(folder, 'scans.csv'), ['file,class,who,centre', ...rows].join('\n'));
  const columns = ['--scan-column', 'file', '--patient-column', 'who'];
  const args = ['--recipe', 'starter', '--labels', 'scans.csv', ...columns];
  const { code, output } = await prepareFrom('data', ...args, '--json');
  expect(code).toBe(0);
  const report = JSON.parse(output) as {
    counts: Record<string, { perClass: number[] }>;
    scans: { key: string; group: string }[];
  };
  expect(report).toMatchObject({ layout: 'table', splits: 'recipe', classes: ['a, b', 'constructor'] });
  for (const split of ['train', 'val', 'test']) expect(report.counts[split]!.perClass).toEqual([1, 1]);
  expect(report.scans.find(({ key }) => key === scans[2])?.group).toBe('site 2');
  expect((await prepareFrom('data', ...args)).output).toMatch(/^a, b +1 +1 +1$/m);
  const refused = await prepareFrom('data', ...args, '--layout', 'folders');
  expect(refused).toMatchObject({ code: 1 });
  expect(refused.output).toMatch(/^error: --labels: the layout folders reads no table/m);
});

test('equal files in two splits are an error, with --allow-leaks a finding', async () => {
  const [train, val] = ['train', 'validation'].map((split) =>
    join(folder, 'data', split, 'covid', 'ct_scan_7'),
  );
  for (const scan of [train!, val!])
    await cp(join(folder, 'data', 'test', 'test_ct_scan_0'), scan, { recursive: true });
  const refused = await prepare();
  expect(refused).toMatchObject({ code: 1 });
  expect(refused.output).toMatch(
    /^error: .*train\/covid\/ct_scan_7 and val\/covid\/ct_scan_7.* --allow-leaks$/m,
  );
  expect((await prepare('--allow-leaks')).output).toMatch(
    /^same-scan: .*: the very same slices are in two splits: /m,
  );
});
