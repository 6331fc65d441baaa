// The whole benchmark of scale, run by the built program on a few scans and members.
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ScaleRow } from './scale-report.ts';

const run = promisify(execFile);
const main = fileURLToPath(new URL('../dist/scale.js', import.meta.url));

/** What was measured with these options; nothing is left in the folder of the data sets. */
async function measured(...options: string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'bench-scale-test-'));
  const [json, work] = [join(folder, 'scale.json'), join(folder, 'work')];
  await run(process.execPath, [main, ...options, '--folder', work, '--json', json]);
  expect(await readdir(work)).toEqual([]);
  const rows = JSON.parse(await readFile(json, 'utf8')) as ScaleRow[];
  for (const { cpuSeconds, peakBytes, fileOperations } of rows) {
    expect(cpuSeconds).toBeGreaterThan(0);
    expect(peakBytes).toBeGreaterThan(2e7);
    expect(fileOperations).toBeGreaterThan(0);
  }
  return (quantity: string) => rows.find((row) => row.quantity === quantity)?.note;
}

test('the store takes the copies of a record for the volumes of the scans', async () => {
  const noteOf = await measured('--scans', '60', '--prepare', '40', '--members', '1', '--only', 'scans');
  expect(noteOf('index, table of NIfTI files')).toBe('60 scans');
  expect(noteOf('preparation of tiny scans')).toBeUndefined();
  expect(noteOf('preparation, all in the store')).toBe('0 of 60 prepared');
  expect(noteOf('the same again')).toBe('continued');
  expect(noteOf("a member reads the run's scans")).toBe('60 scans');
});

test('runs of three members are read and scored', async () => {
  const noteOf = await measured('--scans', '40', '--members', '3', '--only', 'members,evaluate');
  expect(noteOf('preparation of tiny scans')).toBe('40 of 40 prepared');
  const state = JSON.parse(noteOf('state of a run')!) as Record<string, number>;
  expect(state).toMatchObject({ done: 2, interrupted: 1 });
  expect(noteOf('scores of a run')).toBe('7 subsets');
});

test('an unknown group is an error', async () => {
  await expect(run(process.execPath, [main, '--only', 'scan'])).rejects.toThrow(
    '--only: scan is none of guard, slices, scans, members, evaluate',
  );
});
