// The command all-members on a small data set: trained in one go, killed and started again, damaged, given bad options.
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../testing/run-command.ts';
import { killTrainings, probabilitiesOf, recipeOf, train, writeInputs } from '../testing/train.ts';

const tiny = { epochs: 8, edge: 16 };
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-trainer-'));
  await writeInputs(folder, tiny);
});
afterAll(async () => {
  killTrainings();
  await rm(folder, { recursive: true, force: true });
});

/** The metadata of a safetensors file: eight bytes of length, then a JSON header. */
async function metadataOf(file: string): Promise<unknown> {
  const bytes = await readFile(join(folder, file));
  const header = bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE()));
  return (JSON.parse(header.toString()) as { __metadata__: unknown }).__metadata__;
}

test('trains all members and writes what they are into their weights', async () => {
  const straight = await train(folder, 'straight');
  expect(straight).toMatchObject({ code: 0 });
  expect(straight.output).toMatch(/done {5}one.*\ndone {5}two/);

  expect(
    await metadataOf(join('straight', 'members', 'one', 'checkpoints', 'best.safetensors')),
  ).toMatchObject({
    architecture: 'densenet_small',
    views: '[8]',
    classes: '["non-covid","covid"]',
    size: '[16,16]',
    recipe: 'tiny',
  });
});

test('a member that was killed continues and ends with the same bytes as one that was not', async () => {
  await writeFile(join(folder, 'one.yaml'), recipeOf({ ...tiny, members: ['one'] }));
  const killed = await train(folder, 'killed', {
    recipe: 'one.yaml',
    watch: (output, kill) => {
      if (/: epoch 1\/8/.test(output)) kill('SIGKILL');
    },
  });
  expect(killed.signal).toBe('SIGKILL');
  const continued = await train(folder, 'killed', { recipe: 'one.yaml' });
  expect(continued).toMatchObject({ code: 0 });
  expect(continued.output).toMatch(/Continuing the run in killed/);
  expect(continued.output).toMatch(/resumed from its checkpoint after epoch \d of 8/);
  expect(await probabilitiesOf(folder, 'killed', 'one')).toBe(
    await probabilitiesOf(folder, 'straight', 'one'),
  );
});

test('a member with a damaged checkpoint fails by name, the other is already done; exit code 1', async () => {
  const member = join(folder, 'straight', 'members', 'two');
  await rm(join(member, 'done.json'));
  await writeFile(join(member, 'checkpoints', 'last.safetensors'), 'not a checkpoint');
  const { code, output } = await train(folder, 'straight');
  expect(code).toBe(1);
  expect(output).toMatch(/one: already done/);
  expect(output).toMatch(/FAILED {3}two: .*last\.safetensors/);
  expect(await readdir(member)).toContain('failed.json');
});

test('class folders of any names without splits: splits are made and written, a second start is the same', async () => {
  const own = join(folder, 'own');
  const classes = ['__proto__', 'constructor', 'two, words'];
  for (const [i, name] of classes.entries())
    for (const k of [0, 1, 2]) {
      const from = join(folder, 'data', 'train', ['covid', 'non-covid'][i % 2]!, `ct_scan_${(i >> 1) + k}`);
      await cp(from, join(own, name, `scan ${k}`), { recursive: true });
    }
  const text = recipeOf({ ...tiny, epochs: 1, members: ['one'] });
  await writeFile(
    join(folder, 'own.yaml'),
    text.replace('task: detection', 'split: { val: 0.3, test: 0.3 }\nfolds: 2'),
  );
  // Scans of one class are repeated in another.
  const args =
    'all-members --data own --recipe own.yaml --run any --devices cpu:1 --volumes volumes --allow-leaks';
  const first = await runCommand(folder, args.split(' '));
  expect(first).toMatchObject({ code: 0 });
  expect(first.output).toMatch(
    /^Layout folders, 3 classes; splits made by patient as the recipe says: any\/splits\.csv$/m,
  );
  const splits = await readFile(join(folder, 'any', 'splits.csv'), 'utf8');
  expect(splits.split('\n')[0]).toBe('scan,label,patient,split,fold');
  for (const name of classes) expect(first.output).toMatch(new RegExp(`^${name} +1 +1 +1$`, 'm'));
  const test = JSON.parse(await probabilitiesOf(folder, 'any', 'one')) as {
    classes: string[];
    scans: object[];
  };
  expect(test.classes).toEqual(classes);
  expect(test.scans).toHaveLength(3);
  const again = await runCommand(folder, args.split(' '));
  expect(again.output).toMatch(/one: already done/);
  expect(await readFile(join(folder, 'any', 'splits.csv'), 'utf8')).toBe(splits);
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
  [['--labels', 'scans.csv'], /--labels names a table of scans, but there is no data set/],
  [['--data', 'data', '--layout', 'piles'], /'piles' is invalid.*cov19-ct-db, folders, table/],
])('bad arguments %j: one clear error', async (args, message) => {
  const { code, output } = await runCommand(folder, ['all-members', ...args, '--run', 'bad']);
  expect(code).toBe(1);
  expect(output).toMatch(message);
  expect(output).not.toMatch(/\n\s+at /);
});
