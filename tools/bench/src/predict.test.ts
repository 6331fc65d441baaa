// The built program: its own side alone on a network of a few pixels, and the errors that name what is missing.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { makePhantoms } from '@ct-ensemble/phantoms';

const main = fileURLToPath(new URL('../dist/predict.js', import.meta.url));
const small =
  '--architecture densenet_small --members 2 --size 16 --depth 4 --slices 6 --rounds 2 --starts 1';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bench-predict-test-'));
  const none = { covid: 0, 'non-covid': 0 };
  const counts = { train: { covid: 1, 'non-covid': 0 }, val: none, test: none };
  await makePhantoms({ folder, seed: 1, counts, size: 32 });
});
afterAll(() => rm(folder, { recursive: true }));

const bench = (...args: string[]) =>
  promisify(execFile)(process.execPath, [main, ...small.split(' '), ...args], { cwd: folder });

const scan = () => ['--data', join(folder, 'train', 'covid', 'ct_scan_0')];

test('prepares and predicts a scan; a Python without the peers is named', async () => {
  const { stdout } = await bench('--sides', '', ...scan());
  expect(stdout).toMatch(/^2 × densenet_small, volume 4×16×16 of 6 slices; 2 threads; .*$/m);
  expect(stdout).toMatch(/^\| own: TensorFlow .* \| [\d.]+ s \| {2}\| [\d.]+ s \| .* CPU s\) \| {2}\|$/m);
  await expect(bench('--python', '/nowhere/python', ...scan())).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^error: \/nowhere\/python \S+predict-side\.py pytorch ended early .* → /),
  });
  await expect(bench('--data', folder)).rejects.toMatchObject({
    stderr: expect.stringMatching(/^error: \S+: holds no slices K\.jpg/),
  });
}, 180_000);

test.each([
  [['--sides', 'jax'], /there is no side jax → choose of pytorch, pytorch-compiled, onnx/],
  [['--rounds', '0'], /--rounds 0 is not a whole number above 0/],
])('refuses %j', async (args, problem) => {
  await expect(bench(...args)).rejects.toMatchObject({ code: 1, stderr: expect.stringMatching(problem) });
});
