// The built program with a fake nvidia-smi.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../dist/main.js', import.meta.url));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ct-ensemble-gpu-check-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs the program with an nvidia-smi that prints `says`; undefined: without nvidia-smi. */
function run(
  args: string[],
  { says, code = 0, env = {} }: { says?: string; code?: number; env?: NodeJS.ProcessEnv },
) {
  const bin = join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  if (says !== undefined) {
    writeFileSync(join(bin, 'nvidia-smi'), `#!/bin/sh\ncat <<'END'\n${says}\nEND\nexit ${code}\n`);
    chmodSync(join(bin, 'nvidia-smi'), 0o755);
  }
  const path = says === undefined ? bin : `${bin}:${process.env['PATH']}`;
  const inFolder = ['--report', join(folder, 'report'), '--work', join(folder, 'work')];
  return spawnSync(process.execPath, [program, ...inFolder, ...args], {
    encoding: 'utf8',
    env: { ...process.env, CUDA_VISIBLE_DEVICES: undefined, PATH: path, ...env },
  });
}

const H200 = 'NVIDIA H200, 143771 MiB, 570.124.06';

test.each([
  ['no nvidia-smi', {}, 'there is no nvidia-smi'],
  [
    'a driver that does not answer',
    { says: "couldn't communicate with the driver.\nmore", code: 9 },
    `reports "couldn't communicate with the driver."`,
  ],
  ['no GPU', { says: '' }, 'nvidia-smi lists none'],
  ['hidden GPUs', { says: H200, env: { CUDA_VISIBLE_DEVICES: '-1' } }, 'CUDA_VISIBLE_DEVICES=-1 hides them'],
])('%s: one line and exit code 1', (_, machine, problem) => {
  const { status, stdout, stderr } = run([], machine);
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(/^no NVIDIA GPU: .* → .*\n$/);
  expect(stderr).toContain(problem);
  expect(existsSync(join(folder, 'report.md'))).toBe(false);
});

test('a dry run needs no GPU and prints every command', () => {
  const { status, stdout } = run(['--dry-run', '--wheels', '/media/wheels'], {});
  expect(status).toBe(0);
  expect(stdout).toContain('\nnpx nx run engine:install --gpu --wheels /media/wheels\n'.slice(1));
  expect(stdout.match(/^# /gm)!.length).toBeGreaterThan(10);
});

test('a failed and a skipped part are both in the report, and the exit code is 1', () => {
  // The comparison fails because there is no TensorFlow at the given path.
  const { status, stdout } = run(['--parts', 'determinism,every-gpu'], {
    says: H200,
    env: { CT_ENSEMBLE_TENSORFLOW: '/nowhere' },
  });
  expect(status).toBe(1);
  expect(stdout).toMatch(
    /determinism: .*\n {2}failed: exit code 1, \d+ s → .*determinism\.log\nevery-gpu: .*\n {2}skipped: the machine has one GPU/,
  );
  const report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'));
  expect(report.gpus).toEqual([{ name: 'NVIDIA H200', memory: '143771 MiB', driver: '570.124.06' }]);
  expect(report.outcomes.map(({ verdict }: { verdict: string }) => verdict)).toEqual(['failed', 'skipped']);
  expect(report.outcomes[0].tail).toMatch(/^CT_ENSEMBLE_TENSORFLOW is \/nowhere/);
  expect(readFileSync(join(folder, 'report.md'), 'utf8')).toContain('0 passed, 1 failed, 1 skipped.');
});

test('an unknown part and an unknown option are refused', () => {
  expect(run(['--parts', 'x', '--dry-run'], {}).stderr).toMatch(
    /^--parts: there is no part "x" → the parts are install, /,
  );
  expect(run(['--fast'], {}).stderr).toMatch(/Unknown option '--fast'.* → see --help\n$/);
});
