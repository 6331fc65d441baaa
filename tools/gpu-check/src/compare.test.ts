import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { differences } from './compare.ts';
import type { Trained } from './member-worker.ts';

const trained = (losses: number[], weights = 'a'): Trained => ({
  description: 'one',
  notes: [],
  losses,
  weights,
  seconds: 1,
});

test.each([
  { what: 'equal', left: trained([1, 0.5]), found: [] },
  { what: 'other weights', left: trained([1, 0.5], 'b'), found: [/the weights differ/] },
  {
    what: 'another last digit',
    left: trained([1, 0.5000001]),
    found: [/losses of step 2 are 0\.5000001 and 0\.5/],
  },
  { what: 'within the tolerance', left: trained([1, 0.5004], 'b'), tolerance: 1e-3, found: [] },
  { what: 'beyond it', left: trained([1, 0.5006]), tolerance: 1e-3, found: [/step 2/] },
  { what: 'fewer steps', left: trained([1]), tolerance: 1e-3, found: [/1 and 2 steps/] },
  { what: 'not a number', left: trained([1, Number.NaN]), tolerance: 1e-3, found: [/a loss is NaN/] },
])('$what', ({ left, tolerance, found }) => {
  const right = trained([1, 0.5]);
  expect(differences([right, left], right, tolerance)).toEqual(
    found.map((line) => expect.stringMatching(line) as string),
  );
});

describe('the program, on CPU devices', () => {
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

  test('a GPU that is not there, a device that is none: one line, exit code 1', () => {
    for (const [device, message] of [
      ['gpu:77', /^TensorFlow sees no device gpu:77.*→.*\n$/],
      ['tpu:0', /^"tpu:0" is no device → .*\n$/],
    ] as const) {
      const { status, stderr } = run('--left', device, '--right', 'cpu:0');
      expect([status, stderr]).toEqual([1, expect.stringMatching(message)]);
    }
  });
});
