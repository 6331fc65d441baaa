// The built program compare-main.js on CPU devices: each side trains in a process of its own.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../dist/compare-main.js', import.meta.url));
const run = (...args: string[]) => spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });

test('two members at once train as one alone, to the byte', () => {
  const { status, stdout } = run(
    '--left',
    'cpu:0,cpu:1',
    '--right',
    'cpu:2',
    '--steps',
    '5',
    '--deterministic',
  );
  expect(stdout).toMatch(
    /left: TensorFlow .* on CPU:1, deterministic ops, 5 steps .*\nright: .* on CPU:2.*\nthe same to the byte\n$/,
  );
  expect(status).toBe(0);
  const [first, last] = /loss ([\d.]+) → ([\d.]+)/.exec(stdout)!.slice(1).map(Number);
  expect(last).toBeLessThan(first!); // it did train
});

test('a missing GPU, and a text that is not a device: one line, exit code 1', () => {
  for (const [device, message] of [
    ['gpu:77', /^TensorFlow sees no device gpu:77.*→.*\n$/],
    ['tpu:0', /^"tpu:0" is not a device → .*\n$/],
  ] as const) {
    const { status, stderr } = run('--left', device, '--right', 'cpu:0');
    expect([status, stderr]).toEqual([1, expect.stringMatching(message)]);
  }
});
