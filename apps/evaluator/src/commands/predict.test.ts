// From a trained run to answers for scans, with the commands that a user runs.
import { spawnSync } from 'node:child_process';
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const trainer = fileURLToPath(new URL('../../../trainer/dist/main.js', import.meta.url));
const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const phantoms = fileURLToPath(new URL('../../../../tools/phantoms/dist/main.js', import.meta.url));

const recipe = `
name: tiny
task: detection
description: Small members for the test.
volume: { depth: 4, height: 32, width: 32 }
members:
  - { name: one, architecture: densenet_small, seed: 1 }
  - { name: two, architecture: densenet_small, seed: 2, mask: { dilate: 3 } }
training:
  epochs: 1
  batchSize: 3
  loss: { name: focal, gamma: 1.5 }
  optimizer: { name: adam }
  learningRate: [{ from: 0, rate: 0.001 }]
  augmentation: none
submissions:
  - { name: all, members: [one, two] }
  - { name: first, members: [one] }
`;

let folder: string;
const node = (args: readonly string[], { cwd = folder, env = {} as NodeJS.ProcessEnv } = {}) =>
  spawnSync(process.execPath, args, { cwd, encoding: 'utf8', env: { ...process.env, ...env } });
const pack = (...args: string[]) => node([main, 'pack', '--run', 'run', '--volumes', 'volumes', ...args]);
const predictArgs = (...args: string[]) => [
  main,
  'predict',
  '--model',
  'a.ctens',
  '--device',
  'cpu:1',
  ...args,
];
const predict = (...args: string[]) => node(predictArgs(...args));
const read = (file: string) => readFile(join(folder, file), 'utf8');

interface Line {
  scan: string;
  content: string;
  failure: string | null;
  members: number[][];
  probabilities: number[];
  findings: { kind: string; message: string }[];
}
const linesOf = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-predict-'));
  await writeFile(join(folder, 'tiny.yaml'), recipe);
  expect(node([phantoms, '--out', 'data', '--scans', '14', '--size', '48', '--seed', '3'])).toMatchObject({
    status: 0,
  });
  const args = 'all-members --data data --recipe tiny.yaml --run run --devices cpu:1 --volumes volumes';
  expect(node([trainer, ...args.split(' ')])).toMatchObject({ status: 0 });
  expect(pack('--out', 'a.ctens')).toMatchObject({ status: 0 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('packing twice gives equal bytes', async () => {
  expect(pack('--out', 'again.ctens')).toMatchObject({ status: 0 });
  const [first, second] = [
    await readFile(join(folder, 'a.ctens')),
    await readFile(join(folder, 'again.ctens')),
  ];
  expect(Buffer.compare(first, second)).toBe(0);
});

test("in the run's batches the members' probabilities are the run's own, bit for bit", async () => {
  const { status, stdout } = predict('data/test', '--batch', 'run', '--json');
  expect(status).toBe(0);
  const answers = linesOf(stdout);
  for (const [m, member] of ['one', 'two'].entries()) {
    const own = JSON.parse(await read(`run/members/${member}/probabilities/test.json`)) as {
      scans: { key: string; probabilities: number[] }[];
    };
    expect(answers.map(({ scan }) => scan)).toEqual(own.scans.map(({ key }) => `data/${key}`));
    expect(answers.map(({ members }) => members[m])).toEqual(
      own.scans.map(({ probabilities }) => probabilities),
    );
  }
  // The content of a scan is the content key of the run's volume of the first member.
  const volumes = await readdir(join(folder, 'volumes'));
  for (const { content } of answers) expect(volumes).toContain(`${content}.npy`);
});

test('another folder, locale and time zone give equal bytes; the answers of single scans do not depend on others', async () => {
  const all = predict('data/test', 'data/val', '--json');
  const other = join(folder, 'elsewhere');
  await mkdir(other);
  await cp(join(folder, 'data'), join(other, 'data'), { recursive: true });
  await cp(join(folder, 'a.ctens'), join(other, 'a.ctens'));
  const env = { LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8', TZ: 'Asia/Kathmandu' };
  const moved = node(predictArgs('data/test', 'data/val', '--json'), { cwd: other, env });
  expect(moved.stdout).toBe(all.stdout);
  const [first] = linesOf(all.stdout);
  const [alone] = linesOf(predict(first!.scan, '--json').stdout);
  expect(alone).toEqual(first);
});

test('a broken scan is a row with its reason, also in a table of scans; the exit code is 1', async () => {
  await mkdir(join(folder, 'mixed/broken'), { recursive: true });
  for (const k of [0, 1, 2, 3, 4]) await writeFile(join(folder, 'mixed/broken', `${k}.jpg`), 'no image');
  const [scan] = await readdir(join(folder, 'data/test'));
  await cp(join(folder, 'data/test', scan!), join(folder, 'mixed/good'), { recursive: true });
  await writeFile(join(folder, 'mixed/cut.nii.gz'), 'x');
  const { status, stdout } = predict('mixed', 'nowhere', '--json');
  expect(status).toBe(1);
  expect(linesOf(stdout).map(({ scan, failure }) => [scan, failure !== null])).toEqual([
    ['mixed/broken', true],
    ['mixed/cut.nii.gz', true],
    ['mixed/good', false],
    ['nowhere', true],
  ]);
  await writeFile(join(folder, 'list.csv'), 'scan\nmixed/good\nmixed/broken\n');
  const table = predict('list.csv');
  expect(table.stdout).toMatch(/1\/2 {2}mixed\/good +(non-)?covid +0\.\d{4}/);
  expect(table.stdout).toMatch(/2\/2 {2}mixed\/broken +failed: none of its 5 slices can be decoded/);
});

test('an output file that was cut is continued, and is then as if it had not been', async () => {
  const args = ['data/test', 'data/val', 'nowhere', '--csv', 'a.csv', '--jsonl', 'a.jsonl'];
  expect(predict(...args).status).toBe(1);
  const whole = { csv: await read('a.csv'), jsonl: await read('a.jsonl') };
  expect(whole.csv.trimEnd().split('\n')).toHaveLength(1 + linesOf(whole.jsonl).length);
  // As after kill -9 in the third line.
  const third = whole.csv.split('\n').slice(0, 3).join('\n').length;
  await truncate(join(folder, 'a.csv'), third - 10);
  const again = predict(...args);
  expect(again.stderr).toMatch(/a\.csv: the last line was not complete/);
  expect(again.stderr).toMatch(/1 of \d+ scans are answered already/);
  expect(await read('a.csv')).toBe(whole.csv);
  expect(await read('a.jsonl')).toBe(whole.jsonl);
  const third2 = predict(...args);
  expect(third2.stdout).toMatch(/1\/1 {2}nowhere/);
  // Changed files are computed again.
  const [scan] = await readdir(join(folder, 'data/test'));
  const slice = join(folder, 'data/test', scan!, '3.jpg');
  const before = await readFile(slice);
  await appendFile(slice, 'x');
  const changed = predict('data/test', '--csv', 'a.csv');
  expect(changed.stdout).toMatch(new RegExp(`1/1 +data/test/${scan}`));
  await writeFile(slice, before);
  // A file of another ensemble is not continued.
  expect(pack('--out', 'first.ctens', '--submission', 'first')).toMatchObject({ status: 0 });
  const other = node([
    main,
    'predict',
    '--model',
    'first.ctens',
    '--device',
    'cpu:1',
    'data/test',
    '--jsonl',
    'a.jsonl',
  ]);
  expect(other.status).not.toBe(0);
  expect(other.stderr).toMatch(/a\.jsonl: line 1 is of another ensemble/);
});

test('a page for each scan, with escaped names', async () => {
  const name = '<b>&"x';
  const [scan] = await readdir(join(folder, 'data/test'));
  await cp(join(folder, 'data/test', scan!), join(folder, 'named', name), { recursive: true });
  expect(predict('named', '--pages', 'pages').status).toBe(0);
  const [page] = await readdir(join(folder, 'pages'));
  const html = await read(join('pages', page!));
  expect(html).toContain('named/&lt;b&gt;&amp;&quot;x');
  expect(html).not.toContain('<b>&"x');
  expect(html).toMatch(/<img alt="slices of the prepared volume" src="data:image\/png;base64,iVBOR/);
  expect(html).not.toMatch(/(src|href)="(?!data:)/);
});

test('float16: half the weights, and the difference on the validation scans is written in', async () => {
  const packed = pack('--out', 'half.ctens', '--float16', '--device', 'cpu:1');
  expect(packed.status).toBe(0);
  expect(packed.stdout).toMatch(/float16: probabilities of members differ by \d\.\de-\d at most on 4 scans/);
  const [full, half] = [
    (await readFile(join(folder, 'a.ctens'))).length,
    (await readFile(join(folder, 'half.ctens'))).length,
  ];
  expect(half).toBeLessThan(0.75 * full);
  const ask = (model: string) =>
    linesOf(node([main, 'predict', '--model', model, '--device', 'cpu:1', 'data/val', '--json']).stdout);
  const [exact, rounded] = [ask('a.ctens'), ask('half.ctens')];
  const differences = exact.map(({ probabilities }, i) =>
    Math.abs(probabilities[0]! - rounded[i]!.probabilities[0]!),
  );
  expect(Math.max(...differences)).toBeGreaterThan(0);
  expect(Math.max(...differences)).toBeLessThan(1e-3);
});

test('what cannot be packed is named', () => {
  expect(pack('--out', 'x.ctens', '--submission', 'frst').stderr).toMatch(
    /has no submission frst \(did you mean "first"\?\)/,
  );
  expect(pack('--out', 'x.ctens', '--filter', 'f.safetensors').stderr).toMatch(
    /without this network → leave it out/,
  );
  const elsewhere = node([main, 'pack', '--run', 'run', '--volumes', 'none', '--out', 'x.ctens']);
  expect(elsewhere.stderr).toMatch(/the volumes of this run are needed and are not in the store/);
});
