// The commands, called as from a terminal.
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { findTensorFlow, openEngine } from '@ct-ensemble/engine';
import type { Command } from 'commander';
import { describing } from '../description.ts';
import { buildModel } from '../registry.ts';
import type { Golden } from '../goldens.ts';
import { readSmallGolden } from '../testing/fixtures.ts';
import { saveWeights } from '../weights/weights.ts';
import { exportCommand } from './export.ts';
import { goldensCommand } from './goldens.ts';
import { summaryCommand } from './summary.ts';

const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-models-'));
const engine = findTensorFlow() ? 'tensorflow' : 'cpu';
const log = jest.spyOn(console, 'log').mockImplementation(() => undefined);
beforeEach(() => log.mockClear());

/** Runs a command; returns what it printed, and its exit code. */
async function run(command: Command, ...words: string[]) {
  command.exitOverride().configureOutput({ writeErr: () => undefined });
  try {
    await command.parseAsync(words, { from: 'user' });
    return { text: log.mock.calls.join('\n'), code: process.exitCode ?? 0 };
  } finally {
    process.exitCode = undefined;
  }
}

describe('goldens', () => {
  /** Compares with a file that holds PyTorch's values for densenet_small, after a change to its `nets` or its seed. */
  const compare = async (
    change: (golden: Golden) => unknown,
    { seed, more = [] }: { seed?: string | number; more?: string[] } = {},
  ) => {
    const recorded = await readSmallGolden('densenet_small');
    const file = join(folder, 'goldens.json');
    await writeFile(file, JSON.stringify({ seed: seed ?? recorded.seed, nets: change(recorded.golden) }));
    return run(goldensCommand(), '--file', file, '--engine', engine, ...more);
  };

  test.each(['gpu', 'gpu:x', 'cuda:0'])('the device %s is refused', async (device) => {
    const parsed = run(goldensCommand(), '--device', device);
    await expect(parsed).rejects.toThrow(/give cpu or gpu:0/);
  });

  test('a network that agrees: a line with all figures', async () => {
    const { text, code } = await compare((golden) => ({ densenet_small: golden }));
    expect(code).toBe(0);
    expect(text).toMatch(
      /^densenet_small: 11293 parameters; eval logits \S+, after training forward \S+, loss \S+, gradient norms, median \S+, 95 % \S+: ok$/,
    );
  });

  test.each(['golden', 7])('weights and input are drawn from the seed of the file: with %j nothing agrees', async (seed) => {
    const { text, code } = await compare((golden) => ({ densenet_small: golden }), { seed });
    expect(code).toBe(1);
    expect(text).toMatch(/eval logits \S+ \(limit \S+\), after training forward \S+ \(limit \S+\), loss \S+ \(limit \S+\)/);
  }); // prettier-ignore

  test.each([
    ['eval logits', { evalLogits: [[0, 0], [0, 0], [0, 0]] }],
    ['after training forward', { evalLogitsAfterTrainForward: [[0, 0], [0, 0], [0, 0]] }],
    ['loss', { firstLoss: 0.36 }],
  ])('%s beyond its limit: exit code 1', async (what, wrong) => {
    const { text, code } = await compare((golden) => ({ densenet_small: { ...golden, ...wrong } }));
    expect(code).toBe(1);
    expect(text).toMatch(new RegExp(`${what} \\S+ \\(limit \\S+\\).*: NOT ok$`));
  }); // prettier-ignore

  test('wrong gradients and numbers of parameters are found, as JSON too', async () => {
    const { text, code } = await compare(
      (golden) => {
        const gradients = Object.entries(golden.gradients).map(([name, [norm, sum]]) => [
          name,
          [norm * 1.2, sum],
        ]);
        return { densenet_small: { ...golden, parameters: 5, gradients: Object.fromEntries(gradients) } };
      },
      { more: ['--json'] },
    );
    expect(code).toBe(1);
    const [line] = JSON.parse(text) as { ok: boolean; expectedParameters: number; figures: { name: string; value: number }[] }[]; // prettier-ignore
    expect(line).toMatchObject({ ok: false, parameters: 11293, expectedParameters: 5 });
    expect(line!.figures.find(({ name }) => name === 'gradientMedian')!.value).toBeCloseTo(1 / 6, 2);
  });

  test('an unknown network is reported, and the others are compared', async () => {
    const { text, code } = await compare((golden) => ({ resnet18: golden, densenet_small: golden }));
    expect(code).toBe(1);
    expect(text).toMatch(/^resnet18: unknown architecture "resnet18".*\ndensenet_small: .*: ok$/);
  });

  test.each([
    ['{"nets": {"x": {"shape": [1, 2]}}}', /nets\.x\.shape/],
    ['{', /JSON/],
  ])('a file that is not a goldens file: %s', async (content, problem) => {
    const file = join(folder, 'bad.json');
    await writeFile(file, content);
    await expect(run(goldensCommand(), '--file', file)).rejects.toThrow(problem);
    await expect(run(goldensCommand(), '--file', file)).rejects.toThrow(file);
  });

  test('a file that does not exist', async () => {
    const missing = run(goldensCommand(), '--file', join(folder, 'none.json'));
    await expect(missing).rejects.toThrow(/none\.json: there is no such file → give --file FILE/);
  });
});

describe('summary', () => {
  test('a table that ends with the totals', async () => {
    const { text } = await run(
      summaryCommand(),
      '--architecture',
      'densenet_small',
      '--views',
      '64',
      '--batch',
      '2',
    );
    const lines = text.split('\n');
    expect(lines[0]).toMatch(/^layer +ops +output +parameters +multiply-adds +activations$/);
    expect(lines[1]).toMatch(/^encoder1 +Conv2D, Add, Relu +2 × 64 × 64 × 3 +1,731 +14\.2 M +0\.3 MB$/);
    expect(lines.at(-1)).toMatch(/^total +/);
  });

  test('JSON', async () => {
    const { text } = await run(
      summaryCommand(),
      '--architecture',
      'att_unet_small',
      '--size',
      '32x64',
      '--json',
    );
    const { rows } = JSON.parse(text) as { rows: { layer: string; output: number[] }[] };
    expect(rows.at(-1)).toMatchObject({ layer: 'Conv_1x1', output: [1, 32, 64, 2] });
  });

  test.each([
    [['--architecture', 'resnet18'], /Allowed choices/],
    [['--architecture', 'densenet_small', '--views', '1,2,3'], /one or two views/],
    [['--architecture', 'densenet_small', '--batch', '0'], /whole numbers, 1 or more/],
    [['--architecture', 'densenet_small', '--size', '4'], /at least 13 pixels a side/],
  ])('refuses %j', async (words, problem) => {
    await expect(run(summaryCommand(), ...words)).rejects.toThrow(problem);
  });
});

describe('export', () => {
  const weights = join(folder, 'w.safetensors');
  const about = {
    architecture: 'densenet_small',
    views: [4],
    classes: ['a', 'b'],
    size: [32, 32],
    recipe: 'r',
  };
  const save = async (metadata: Record<string, string>) => {
    const engine = await openEngine({ engine: 'cpu' });
    const model = buildModel('densenet_small', { views: [4], classes: 2, seed: 1 });
    await saveWeights(model.parameters, weights, metadata);
    engine.close();
  };

  test('the metadata of the weights is enough', async () => {
    await save(describing({ ...about, size: [32, 32] }));
    const { text } = await run(exportCommand(), '--weights', weights);
    expect(text).toMatch(/w\.onnx: densenet_small, opset 17, 0\.\d MB$/);
    const content = (await readFile(join(folder, 'w.onnx'))).toString('latin1');
    for (const part of ['["a","b"]', '[4,32,32]', 'volume', 'logits', 'probabilities', 'encoder1.weight'])
      expect(content).toContain(part);
  });

  test('what the metadata lacks must be given as an option', async () => {
    await save({});
    const [file, ...all] = [weights, '--architecture', 'densenet_small', '--views', '4', '--classes', 'a,b'];
    await expect(run(exportCommand(), '--weights', file!)).rejects.toThrow(
      /w\.safetensors: the metadata lacks architecture → give --architecture NAME/,
    );
    await expect(run(exportCommand(), '--weights', file!, ...all)).rejects.toThrow(
      /lacks size → give --size EDGE/,
    );
    const out = join(folder, 'x.onnx');
    expect(
      (await run(exportCommand(), '--weights', file!, ...all, '--size', '32', '--out', out)).text,
    ).toMatch(/^\S+x\.onnx: /);
  });

  test('metadata that is damaged, and a network that the weights do not fit', async () => {
    await save({ ...describing({ ...about, size: [32, 32] }), views: '[4' });
    await expect(run(exportCommand(), '--weights', weights)).rejects.toThrow(
      /w\.safetensors: metadata, views: /,
    );
    await save(describing({ ...about, classes: ['a', 'b', 'c'], size: [32, 32] }));
    await expect(run(exportCommand(), '--weights', weights)).rejects.toThrow(
      /model\.classifier\.weight is F32 \[2, 30\], not F32 \[3, 30\]/,
    );
  });
});
