// The whole command on a small data set, as a person runs it: killed in the middle, started again.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makePhantoms } from '@ct-ensemble/phantoms';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

const recipe = `
name: tiny
task: detection
description: Two small members for the test.
volume: { depth: 8, height: 24, width: 24 }
members:
  - { name: one, architecture: densenet_small, seed: 1 }
  - { name: two, architecture: densenet_small, seed: 2 }
training:
  epochs: 6
  batchSize: 3
  loss: { name: focal, gamma: 1.5 }
  optimizer: { name: adam }
  learningRate: [{ from: 0, rate: 0.001 }]
  augmentation: { rotate: 10, flipHorizontal: 0.5 }
submissions:
  - { name: both, members: [one, two] }
`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-trainer-'));
  const counts = {
    train: { covid: 4, 'non-covid': 4 },
    val: { covid: 2, 'non-covid': 2 },
    test: { covid: 1, 'non-covid': 1 },
  };
  await makePhantoms({ folder: join(folder, 'data'), seed: 3, counts, size: 48 });
  await writeFile(join(folder, 'tiny.yaml'), recipe);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

/** Runs the command; `watch` sees all output so far after each piece. */
async function train(
  args: string[],
  watch: (output: string, kill: (signal: NodeJS.Signals) => void) => void = () => {},
): Promise<Ended> {
  const child = spawn(process.execPath, [main, 'all-members', ...args], { cwd: folder });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece: Buffer) => {
      output += piece.toString();
      watch(output, (signal) => child.kill(signal));
    });
  }
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, output };
}

const run = (name: string, devices = 'cpu:1,cpu:1') => [
  '--data',
  'data',
  '--recipe',
  'tiny.yaml',
  '--run',
  name,
  '--devices',
  devices,
  '--volumes',
  'volumes',
];
const results = (name: string) =>
  Promise.all(
    ['one', 'two'].map((member) =>
      readFile(join(folder, name, 'members', member, 'probabilities', 'test.json'), 'utf8'),
    ),
  );

/** Of a safetensors file: eight bytes of length, then a JSON header. */
async function metadataOf(file: string): Promise<unknown> {
  const bytes = await readFile(join(folder, file));
  const header = bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE()));
  return (JSON.parse(header.toString()) as { __metadata__: unknown }).__metadata__;
}

test('trains all members; killed in the middle of an epoch it continues, and nothing is different', async () => {
  const straight = await train(run('straight'));
  expect(straight).toMatchObject({ code: 0 });
  expect(straight.output).toMatch(/done {5}one.*\ndone {5}two/);

  expect(
    await metadataOf(join('straight', 'members', 'one', 'checkpoints', 'best.safetensors')),
  ).toMatchObject({
    architecture: 'densenet_small',
    views: '[8]',
    classes: '["non-covid","covid"]',
    size: '[24,24]',
    recipe: 'tiny',
  });

  const killed = await train(run('killed'), (output, kill) => {
    if (/: epoch 2\/6/.test(output)) kill('SIGKILL');
  });
  expect(killed.signal).toBe('SIGKILL');
  const continued = await train(run('killed'));
  expect(continued).toMatchObject({ code: 0 });
  expect(continued.output).toMatch(/Continuing the run in killed/);
  expect(continued.output).toMatch(/resumed from its checkpoint after epoch \d of 6/);
  expect(await results('killed')).toEqual(await results('straight'));

  const third = await train(run('killed'));
  expect(third.output.match(/already done/g)).toHaveLength(2);
});

test('SIGTERM stops after the present step, with exit code 130', async () => {
  let told = false;
  const stopped = await train(run('stopped'), (output, kill) => {
    if (told || !output.includes('epoch 1/6')) return;
    told = true;
    kill('SIGTERM');
  });
  expect(stopped.code).toBe(130);
  expect(stopped.output).toMatch(/stopped {2}one: the same command continues it/);
});

test('a member whose volumes are damaged fails by name; the exit code tells', async () => {
  const { code } = await train(run('damaged'));
  expect(code).toBe(0);
  await rm(join(folder, 'damaged', 'members', 'two', 'done.json'));
  await writeFile(
    join(folder, 'damaged', 'members', 'two', 'checkpoints', 'last.safetensors'),
    'not a checkpoint',
  );
  const again = await train(run('damaged'));
  expect(again.code).toBe(1);
  expect(again.output).toMatch(/one: already done/);
  expect(again.output).toMatch(/FAILED {3}two: .*last\.safetensors/);
  expect(await readdir(join(folder, 'damaged', 'members', 'two'))).toContain('failed.json');
});

test.each([
  [['--recipe', 'quik'], /There is no recipe "quik".*did you mean "?quick/i],
  [['--data', 'nowhere', '--recipe', 'tiny.yaml'], /nowhere/],
  [['--data', 'data', '--recipe', 'tiny.yaml', '--devices', 'tpu'], /"tpu" is no device/],
  [
    ['--data', 'data', '--recipe', 'tiny.yaml', '--engine', 'cpu', '--devices', 'gpu:0'],
    /names a GPU, which --engine cpu/,
  ],
  [['--engine', 'abacus'], /abacus/],
])('bad arguments %j: one clear error', async (args, message) => {
  const { code, output } = await train([...args, '--run', 'bad']);
  expect(code).not.toBe(0);
  expect(output).toMatch(message);
  expect(output).not.toMatch(/\n\s+at /);
});
