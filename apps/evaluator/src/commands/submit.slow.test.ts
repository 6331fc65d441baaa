// The commands that a newcomer runs in an empty folder: phantom scans, training, submission, evaluation.
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-evaluator-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const evaluator = (...args: string[]) =>
  spawnSync(process.execPath, [main, ...args], { cwd: folder, encoding: 'utf8' });
const namesIn = async (submission: string, label: string) =>
  (await readFile(join(folder, 'runs', 'quick', 'submissions', submission, `${label}.csv`), 'utf8'))
    .split('\n')
    .filter(Boolean);

test('submit without a run makes it first; every test scan is named once; the ensemble has learned', async () => {
  const { status, stdout } = evaluator('submit');
  expect(status).toBe(0);
  expect(stdout).toContain('There is no run in runs/quick yet: training it first');
  expect(stdout).toContain('runs/quick/submissions/ensemble-1-2-3/covid.csv');
  const names = [
    ...(await namesIn('ensemble-1-2-3', 'covid')),
    ...(await namesIn('ensemble-1-2-3', 'non-covid')),
  ];
  expect(names.sort()).toEqual([0, 1, 2, 3, 4, 5].map((i) => `test_ct_scan_${i}`));

  const evaluation = evaluator('evaluate', '--run', 'runs/quick', '--json');
  const { val, test: hidden } = JSON.parse(evaluation.stdout);
  expect(val.constant.scores.macroF1).toBeCloseTo(1 / 3, 10);
  expect(val.subsets).toHaveLength(7);
  expect(val.subsets.at(-1).scores.macroF1).toBeGreaterThan(0.6);
  expect(hidden).toBeNull();
  expect(evaluator('evaluate', '--run', 'runs/quick').stdout).toMatch(
    /densenet-1 \+ densenet-2 \+ densenet-3/,
  );
});

test('submit again writes the same files and trains nothing', () => {
  const { status, stdout } = evaluator('submit', '--run', 'runs/quick');
  expect(status).toBe(0);
  expect(stdout).not.toContain('epoch');
});
