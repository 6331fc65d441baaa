// Submission and evaluation of a small run.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const trainer = fileURLToPath(new URL('../../../trainer/dist/main.js', import.meta.url));
const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const phantoms = fileURLToPath(new URL('../../../../tools/phantoms/dist/main.js', import.meta.url));

const recipe = `
name: tiny
task: detection
description: Two small members for the test.
volume: { depth: 8, height: 16, width: 16 }
members:
  - { name: one, architecture: densenet_small, seed: 1 }
  - { name: two, architecture: densenet_small, seed: 2 }
training:
  epochs: 2
  batchSize: 3
  loss: { name: focal, gamma: 1.5 }
  optimizer: { name: adam }
  learningRate: [{ from: 0, rate: 0.001 }]
  augmentation: { rotate: 10, flipHorizontal: 0.5 }
submissions:
  - { name: both, members: [one, two] }
`;

const training =
  'all-members --data data --recipe tiny.yaml --run run --devices cpu:1,cpu:1 --volumes volumes';

let folder: string;
const node = (...args: string[]) => spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
const evaluator = (...args: string[]) => node(main, ...args);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-evaluator-'));
  await writeFile(join(folder, 'tiny.yaml'), recipe);
  expect(node(phantoms, '--out', 'data', '--scans', '12', '--size', '32')).toMatchObject({ status: 0 });
  expect(node(trainer, ...training.split(' '))).toMatchObject({ status: 0, stderr: '' });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const csv = (label: string) => join(folder, 'run', 'submissions', 'both', `${label}.csv`);

test('submit names every test scan once; again it writes the same files and trains nothing', async () => {
  const first = evaluator('submit', '--run', 'run');
  expect(first).toMatchObject({ status: 0 });
  expect(first.stdout).toContain('run/submissions/both/covid.csv');
  const texts = await Promise.all(['covid', 'non-covid'].map((label) => readFile(csv(label), 'utf8')));
  expect(texts.join('\n').split('\n').filter(Boolean).sort()).toEqual(['test_ct_scan_0', 'test_ct_scan_1']);

  const table = await readFile(join(folder, 'run', 'predictions', 'both.csv'), 'utf8');
  expect(first.stdout).toContain('run/predictions/both.csv');
  const [header, ...rows] = table.trimEnd().split('\n');
  expect(header).toBe('scan,name,split,predicted,true,probability_non-covid,probability_covid,failure');
  expect(rows).toHaveLength(2);
  for (const row of rows) {
    const [scan, name, split, predicted] = row.split(',');
    expect([scan, split]).toEqual([`test/${name}`, 'test']);
    expect((await readFile(csv(predicted!), 'utf8')).split('\n')).toContain(name);
  }

  const weights = join(folder, 'run', 'members', 'one', 'checkpoints', 'best.safetensors');
  const { mtimeMs } = await stat(weights);
  const again = evaluator('submit', '--run', 'run');
  expect(again).toMatchObject({ status: 0, stdout: first.stdout });
  expect(await Promise.all(['covid', 'non-covid'].map((label) => readFile(csv(label), 'utf8')))).toEqual(
    texts,
  );
  expect((await stat(weights)).mtimeMs).toBe(mtimeMs);
});

test('evaluate scores every subset of members, as JSON or as tables', () => {
  const { val, test: hidden } = JSON.parse(evaluator('evaluate', '--run', 'run', '--json').stdout);
  expect(val.constant.scores.macroF1).toBeCloseTo(1 / 3, 10); // two classes of equal size
  expect(val.subsets).toHaveLength(3);
  expect(hidden).toBeNull();
  expect(evaluator('evaluate', '--run', 'run').stdout).toMatch(/^both = one \+ two +\d/m);
});

test('probabilities of other scans are one clear error; what the error advises mends them', async () => {
  const file = join(folder, 'run', 'members', 'one', 'probabilities', 'test.json');
  const text = await readFile(file, 'utf8');
  const content = JSON.parse(text);
  await writeFile(file, JSON.stringify({ ...content, scans: content.scans.slice(1) }));
  const before = await readFile(csv('covid'), 'utf8');
  const problem = `error: ${join('run', 'members', 'one', 'probabilities', 'test.json')}: its scans are not those of this run: missing scans: ${content.scans[0].key} → start the training again, or nx run trainer:predict, which trains nothing: the scans are predicted anew\n`;

  const submitted = evaluator('submit', '--run', 'run');
  expect(submitted).toMatchObject({ status: 1, stderr: problem });
  expect(submitted.stdout).toContain(
    'both: NOT WRITTEN, because the probabilities of these members cannot be used: one',
  );
  expect(existsSync(csv('covid'))).toBe(false);

  const evaluated = evaluator('evaluate', '--run', 'run');
  expect(evaluated).toMatchObject({ status: 1, stderr: problem });
  expect(evaluated.stdout).toMatch(/^Not usable, so not in the tables: one$/m);
  expect(evaluated.stdout).toMatch(/^The submission both is not in the tables: it needs one$/m);
  expect(evaluated.stdout).toMatch(/^two +\d/m);

  await rm(join(folder, 'run', 'members', 'one', 'done.json'));
  expect(node(trainer, ...training.split(' '))).toMatchObject({ status: 0 });
  expect(await readFile(file, 'utf8')).toBe(text);
  expect(evaluator('submit', '--run', 'run')).toMatchObject({ status: 0, stderr: '' });
  expect(await readFile(csv('covid'), 'utf8')).toBe(before);
});

test('a folder without a run is one clear error', () => {
  for (const command of ['submit', 'evaluate']) {
    const { status, stderr } = evaluator(command, '--run', 'nowhere');
    expect(status).toBe(1);
    expect(stderr).toMatch(/^error: nowhere: there is no run here/);
  }
});
