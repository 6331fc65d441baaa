// The whole benchmark, run by the built program on a network of a few pixels.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Report } from './report.ts';

const run = promisify(execFile);
const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const small = '--architecture densenet_small --size 32 --depth 4 --batch 2 --steps 1'.split(' ');
const bench = (...args: string[]) => run(process.execPath, [main, ...small, ...args]);

test('measures against itself: no PyTorch needed, XLA computes the same loss', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bench-test-'));
  const [json, markdown] = [join(folder, 'bench.json'), join(folder, 'bench.md')];
  const { stdout } = await bench(
    '--cases',
    'xla',
    '--python',
    '/nowhere',
    '--json',
    json,
    '--markdown',
    markdown,
  );
  expect(stdout).toMatch(/^RESULT xla, first step: [\d.]+, no target$/m);
  expect(stdout).toMatch(/^RESULT xla, step: [\d.]+, no target$/m);
  expect(await readFile(markdown, 'utf8')).toContain('densenet_small behind 4×32×32');
  const report = JSON.parse(await readFile(json, 'utf8')) as Report;
  const [{ first }] = report.cases as [Report['cases'][0]];
  expect(Math.abs(first.here[0]! / first.peer[0]! - 1)).toBeLessThan(1e-3);
});

const python = process.env['CT_ENSEMBLE_TORCH_PYTHON'] ?? 'python3';
const hasTorch = await run(python, ['-c', 'import torch, torchvision']).then(
  () => true,
  () => false,
);
if (!hasTorch) console.log(`skipped: ${python} has no torch; CT_ENSEMBLE_TORCH_PYTHON names one that has`);

(hasTorch ? test : test.skip)(
  'PyTorch computes the same losses and probabilities',
  async () => {
    const cases = ['two-members', 'mixed', 'evaluation'];
    const { stdout } = await bench('--cases', cases.join(','), '--python', python);
    for (const name of cases)
      expect(stdout).toMatch(new RegExp(`^RESULT ${name}, .*: (met|missed|not judged, .*)$`, 'm'));
  },
  180_000,
);
