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

test('measures prepared scans and a filled store, and leaves nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bench-scale-test-'));
  const json = join(folder, 'scale.json');
  const work = join(folder, 'work');
  const options = ['--scans', '40,60', '--prepare', '40', '--members', '3', '--folder', work, '--json', json];
  await run(process.execPath, [main, ...options]);
  expect(await readdir(work)).toEqual([]);
  const rows = JSON.parse(await readFile(json, 'utf8')) as ScaleRow[];
  const noteOf = (quantity: string, scans: number) =>
    rows.find((row) => row.quantity === quantity && row.scans === scans)?.note;
  expect(noteOf('index, table of NIfTI files', 60)).toBe('60 scans');
  expect(noteOf('preparation of tiny scans', 40)).toBe('40 of 40 prepared');
  expect(noteOf('preparation of tiny scans', 60)).toBeUndefined();
  expect(noteOf('preparation, all in the store', 60)).toBe('0 of 60 prepared');
  expect(noteOf('the same again', 60)).toBe('continued');
  expect(noteOf('scores of a run', 40)).toBe('7 subsets');
  const state = JSON.parse(noteOf('state of a run', 40)!) as Record<string, number>;
  expect(state).toMatchObject({ done: 2, interrupted: 1 });
  for (const { cpuSeconds, peakBytes, fileOperations } of rows) {
    expect(cpuSeconds).toBeGreaterThan(0);
    expect(peakBytes).toBeGreaterThan(2e7);
    expect(fileOperations).toBeGreaterThan(0);
  }
});

test('an unknown group is an error', async () => {
  await expect(run(process.execPath, [main, '--only', 'scan'])).rejects.toThrow(
    '--only: scan is none of guard, slices, scans, members, evaluate',
  );
});
