// Packing a run whose preparation uses trained networks, and whose members are weighted: the ensemble file holds both, and answers the
// run's test scans with the run's own probabilities.
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadEnsembleFile } from '@ct-ensemble/ensemble';
import { evaluatorProgram, shortTraining, trainerProgram, trainRun } from '../testing/tiny-run.ts';
import { linesOf } from './packed-run.fixture.ts';

const recipe = `
name: networks
task: detection
description: Volumes of slices with lung, masked by a network.
volume: { depth: 4, height: 32, width: 32, slices: lung, mask: { dilate: 5 } }
members:
  - { name: one, architecture: densenet_small, seed: 1 }
  - { name: two, architecture: densenet_small, seed: 2, mask: { dilate: 3 } }
${shortTraining(3)}`;

let folder: string;
const run = (program: string, args: string) =>
  spawnSync(process.execPath, [program, ...args.split(' ').filter(Boolean)], {
    cwd: folder,
    encoding: 'utf8',
  });
const packed = (args: string) =>
  run(evaluatorProgram, `pack --run run --volumes volumes --out m.ctens ${args}`);
const networks = '--filter filter.safetensors --masks masks.safetensors';

/** Slices of the phantoms with their lung masks, as the trainer of the networks reads them. */
async function writePairs() {
  const kind = join(folder, 'data', 'train', 'covid');
  for (const scan of (await readdir(kind)).slice(0, 3)) {
    await cp(join(kind, scan), join(folder, 'pairs', 'images', scan), { recursive: true });
    await cp(join(folder, 'data', 'masks', 'train', 'covid', scan), join(folder, 'pairs', 'masks', scan), {
      recursive: true,
    });
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-pack-networks-'));
  await trainRun(folder, {
    text: recipe,
    phantoms: ['--scans', '14', '--size', '48', '--seed', '3'],
    async before() {
      await writePairs();
      const small = '--data pairs --size 32 --epochs 2 --batch 4 --device cpu:1 --hold-out 0.4';
      for (const args of [
        `filter ${small} --architecture resnext_small --out filter.safetensors`,
        `segmenter ${small} --architecture att_unet_small --out masks.safetensors`,
      ]) {
        const { status, stderr } = run(trainerProgram, args);
        if (status !== 0) throw new Error(stderr);
      }
    },
    options: networks,
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('the file holds the networks, byte for byte, and weights of the combination', async () => {
  const { status, stderr } = packed(`${networks} --combination weighted`);
  expect([status, stderr.split('\n').filter((line) => line.startsWith('error'))]).toEqual([0, []]);
  const { manifest, entries } = await loadEnsembleFile(join(folder, 'm.ctens'));
  for (const [entry, file] of [
    ['networks/slice-filter.safetensors', 'filter.safetensors'],
    ['networks/lung-segmenter.safetensors', 'masks.safetensors'],
  ] as const)
    expect(Buffer.compare(entries.get(entry)!, await readFile(join(folder, file)))).toBe(0);
  const { combination } = manifest;
  expect(combination.method).toBe('weighted');
  expect(combination.weights!.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12);
});

test("without the networks' own files it answers the test scans as the run did; the probabilities are the weighted mean", async () => {
  for (const file of ['filter.safetensors', 'masks.safetensors'])
    await rename(join(folder, file), join(folder, `moved-${file}`));
  const { status, stdout, stderr } = run(
    evaluatorProgram,
    'predict --model m.ctens --device cpu:1 --batch run --json data/test',
  );
  expect([status, stderr]).toEqual([0, expect.not.stringContaining('error')]);
  const { manifest } = await loadEnsembleFile(join(folder, 'm.ctens'));
  const answers = linesOf(stdout);
  expect(answers.length).toBeGreaterThan(1);
  for (const [m, member] of ['one', 'two'].entries()) {
    const file = join(folder, 'run', 'members', member, 'probabilities', 'test.json');
    const own = JSON.parse(await readFile(file, 'utf8')) as {
      scans: { key: string; probabilities: number[] }[];
    };
    expect(answers.map(({ scan, members }) => [scan, members[m]])).toEqual(
      own.scans.map(({ key, probabilities }) => [`data/${key}`, probabilities]),
    );
  }
  const [first, second] = manifest.combination.weights as [number, number];
  for (const { members, probabilities } of answers)
    probabilities.forEach((value, k) =>
      expect(value).toBeCloseTo(first * members[0]![k]! + second * members[1]![k]!, 12),
    );
  const alone = run(evaluatorProgram, `predict --model m.ctens --device cpu:1 --json ${answers[0]!.scan}`);
  const [single] = linesOf(alone.stdout);
  single!.probabilities.forEach((value, k) =>
    expect(Math.abs(value - answers[0]!.probabilities[k]!)).toBeLessThan(1e-6),
  );
  const explained = run(
    evaluatorProgram,
    `explain --model m.ctens --out explained --slices 2 ${answers[0]!.scan}`,
  );
  expect([explained.status, explained.stdout]).toEqual([0, expect.stringContaining(answers[0]!.scan)]);
});

test('a network that is missing or another one is named', async () => {
  expect(packed('').stderr).toMatch(/volumes were made with the network \S+ → give its weights file with --filter FILE/); // prettier-ignore
  await writeFile(join(folder, 'other.safetensors'), 'x');
  expect(packed('--filter other.safetensors --masks moved-masks.safetensors').stderr).toMatch(/other\.safetensors: is not the network that the run's volumes were made with/); // prettier-ignore
});
