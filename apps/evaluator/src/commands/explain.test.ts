// Explanations of a small run of phantom scans, with the commands that a user runs.
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { explanationFigure, type ScanExplanation } from '@ct-ensemble/ensemble';
import { evaluatorProgram, shortTraining, trainRun } from '../testing/tiny-run.ts';

const recipe = `
name: explained
task: detection
description: Two views and two kinds of networks.
volume: { depth: [6, 3], height: 20, width: 20 }
members:
  - { name: plain, architecture: resnext_small, seed: 1 }
  - { name: attentive, architecture: densenet_attention_small, seed: 2 }
${shortTraining(4)}`;

let folder: string;
const node = (...args: string[]) => spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
const explain = (...args: string[]) =>
  node(evaluatorProgram, 'explain', '--run', 'run', '--volumes', 'volumes', ...args);
const readExplanation = async (file: string) =>
  JSON.parse(await readFile(join(folder, file), 'utf8')) as ScanExplanation;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-explain-'));
  await trainRun(folder, { text: recipe, phantoms: ['--scans', '8', '--size', '32'] });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Predicted {
  scans: { key: string; probabilities: number[] }[];
}

test('names slices and files, and its probabilities are those of the run', async () => {
  const predicted = await Promise.all(
    ['plain', 'attentive'].map(
      async (name) =>
        JSON.parse(
          await readFile(join(folder, 'run', 'members', name, 'probabilities', 'val.json'), 'utf8'),
        ) as Predicted,
    ),
  );
  const { key } = predicted[0]!.scans[0]!;
  const { status, stderr } = explain('--out', 'out', '--scans', key, '--by-member', '--slices', '2');
  expect([status, stderr]).toEqual([0, '']);
  const file = key.replaceAll('/', '_');
  expect((await readdir(join(folder, 'out'))).sort()).toEqual(
    [`${file}.attentive.png`, `${file}.json`, `${file}.plain.png`, `${file}.png`].sort(),
  );
  const { members, slices, classes, explained, probabilities } = await readExplanation(`out/${file}.json`);
  for (const [i, { member, probabilities: own, placeScores, trainedOn }] of members.entries()) {
    const row = predicted[i]!.scans.find((scan) => scan.key === key)!.probabilities;
    row.forEach((value, k) => expect([member, own[k]]).toEqual([member, expect.closeTo(value, 5)]));
    expect(placeScores).toHaveLength(9);
    expect(trainedOn).toBe(false);
  }
  expect(classes.indexOf(explained)).toBe(probabilities.indexOf(Math.max(...probabilities)));
  expect(slices.flatMap(({ places }) => places).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  const scores = slices.map(({ score }) => score);
  expect(scores).toEqual([...scores].sort((a, b) => b - a));
  const mean = members.map(({ placeScores }) => placeScores.reduce((sum, score) => sum + score, 0) / 2);
  expect(scores.reduce((sum, score) => sum + score, 0)).toBeCloseTo(mean[0]! + mean[1]!, 8);
  for (const { file: slice, position } of slices) {
    const names = (await readdir(join(folder, 'data', slice!.split('/').slice(0, -1).join('/')))).sort(
      (a, b) => parseInt(a, 10) - parseInt(b, 10),
    );
    expect(slice!.split('/').at(-1)).toBe(names[position]);
  }
});

test('a scan of the training is explained with a warning; the class can be chosen', async () => {
  const { scans } = JSON.parse(await readFile(join(folder, 'run/dataset.json'), 'utf8')) as {
    scans: { key: string; split: string }[];
  };
  const { key } = scans.find(({ split }) => split === 'train')!;
  const ask = (name: string) =>
    explain('--out', name, '--scans', key, '--members', 'plain', '--class', name, '--method', 'hires-cam');
  expect(ask('covid').stderr).toContain(`warning: ${key}: trained on this scan: plain`);
  expect(ask('non-covid').status).toBe(0);
  const file = `${key.replaceAll('/', '_')}.json`;
  const [covid, other] = [await readExplanation(`covid/${file}`), await readExplanation(`non-covid/${file}`)];
  expect([covid.explained, other.explained, covid.method]).toEqual(['covid', 'non-covid', 'hires-cam']);
  expect(covid.members[0]!.logits).toEqual(other.members[0]!.logits);
});

test('an ensemble file explains a scan as the run does; a broken scan is reported and ends no others', async () => {
  const [name] = await readdir(join(folder, 'data/test'));
  const key = `test/${name}`;
  expect(explain('--out', 'by-run', '--scans', key, '--members', 'plain', 'attentive').status).toBe(0);
  const packed = node(evaluatorProgram, 'pack', '--run', 'run', '--volumes', 'volumes', '--out', 'm.ctens');
  expect([packed.status, packed.stdout]).toEqual([0, expect.stringContaining('2 members')]);
  await mkdir(join(folder, 'broken'));
  await writeFile(join(folder, 'broken', '0.jpg'), 'no image');
  const args = ['explain', '--model', 'm.ctens', '--out', 'by-file', '--slices', '2'];
  const { status, stderr, stdout } = node(evaluatorProgram, ...args, 'broken', `data/${key}`);
  expect([status, stderr]).toEqual([
    1,
    expect.stringMatching(/^broken: failed: .* cannot|^broken: failed: none/m),
  ]);
  expect(stdout).toContain(`data/${key}: `);
  const [byRun, byFile] = [
    await readExplanation(`by-run/test_${name}.json`),
    await readExplanation(`by-file/data_test_${name}.json`),
  ];
  expect(byFile).toEqual({
    ...byRun,
    scan: `data/${key}`,
    split: null,
    members: byRun.members.map((member) => ({ ...member, trainedOn: null })),
    slices: byRun.slices.map((slice) => ({ ...slice, file: slice.file!.split('/').at(-1) })),
  });
  const png = async (file: string) => (await readFile(join(folder, file))).subarray(1, 4).toString();
  expect(await png(`by-file/data_test_${name}.png`)).toBe('PNG');
});

test.each([
  [['--model', 'm.ctens', 'x'], /cannot be used with option '--run|cannot be used with option '--volumes/],
  [['x'], /with --run, scans are named with --scans → write --scans x/],
  [['--scans', 'nothing'], /the run has no scan nothing.* → give the key of a scan/],
  [
    ['--members', 'plian'],
    /there is no member plian \(did you mean "plain"\?\) → choose among plain, attentive/,
  ],
  [['--class', 'flu'], /there is no class flu → choose one of/],
  [['--slices', '0'], /It must be a whole number from 1 to 16/],
])('refuses %j', (args, message) => {
  const { status, stderr } = explain('--out', 'refused', ...args);
  expect([status, stderr]).toEqual([1, expect.stringMatching(message)]);
});

test('the figure for a page escapes names and holds the picture', () => {
  const html = explanationFigure(
    {
      scan: 'val/<b>&"',
      split: 'val',
      label: null,
      classes: ['a', 'b'],
      explained: 'a',
      probabilities: [1, 0],
      method: 'grad-cam',
      slices: [{ position: 3, file: null, score: 0.25, places: [0] }],
      members: [],
    },
    { picture: { mediaType: 'image/png', bytes: Uint8Array.from([1, 2, 3]), width: 30, height: 20 } },
  );
  expect(html).toContain('val/&lt;b&gt;&amp;&quot;');
  expect(html).not.toContain('<b>');
  expect(html).toContain('src="data:image/png;base64,AQID"');
  expect(html).toContain('<th scope="row">3</th><td>–</td><td>0.250</td>');
});
