import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readJson, writeJson } from '@ct-ensemble/core';
import type { StoredScan } from '@ct-ensemble/data';
import { parseRecipe } from '../recipes/load.ts';
import { adoptPlan, makePlan, type Plan } from '../run/plan.ts';
import { renderCombinations } from './combination-text.ts';
import { type Probabilities, writeProbabilities } from './probabilities.ts';
import { evaluateRun, submitRun } from './results.ts';
import {
  datasetFile,
  doneFile,
  planFile,
  predictionsFile,
  probabilitiesFile,
  type RunScan,
  scansFile,
  submissionFolder,
  summaryFile,
  writeScans,
} from '../run-folder.ts';
import { submissionNames } from './scan-names.ts';
import type { SubsetScores } from './evaluation.ts';
import { readSubmission } from './submission.ts';
import { planOf, recipeText, scan, temporaryRun } from '../testing.fixture.ts';
import { writeFailed } from '../run-status.ts';

const classes = ['non-covid', 'covid'];
const val = [scan('val/covid/a', 1), scan('val/non-covid/b', 0)];
const test3 = [
  scan('test/one', null),
  scan('test/two', null),
  scan('test/three', null),
  scan('test/broken', null, null),
];

/** Writes what a member that is done has: probabilities of class covid for the scans with a volume. */
async function finish(
  run: string,
  member: string,
  of: { val: number[]; test: number[]; vals?: StoredScan[]; tests?: StoredScan[]; macroF1?: number },
) {
  const probabilities = (split: 'val' | 'test', scans: StoredScan[], covid: number[]): Probabilities => ({
    split,
    classes,
    scans: scans
      .filter(({ volume }) => volume !== null)
      .map(({ key, name, label }) => ({ key, name, label })),
    rows: covid.map((p) => [1 - p, p]),
    failed: scans
      .filter(({ volume }) => volume === null)
      .map(({ key, name, label, failure }) => ({ key, name, label, reason: failure! })),
  });
  await writeProbabilities(
    probabilitiesFile(run, member, 'val'),
    probabilities('val', of.vals ?? val, of.val),
  );
  await writeProbabilities(
    probabilitiesFile(run, member, 'test'),
    probabilities('test', of.tests ?? test3, of.test),
  );
  const macroF1 = of.macroF1 ?? 1;
  await writeJson(doneFile(run, member), { epochs: 2, bestEpoch: 1, macroF1, weights: 'w' });
}

/** A run as prepareRun leaves it: plan, scans.msgpack and dataset.json of these scans. */
async function runOf(members: string[], scans = [...val, ...test3], plan: Partial<Plan> = {}) {
  const run = await temporaryRun();
  await adoptPlan(run, { ...planOf(members, ['cpu:1'], scans), ...plan }, { scans: [{ members, scans }] });
  await writeJson(datasetFile(run), { classes, scans });
  return run;
}

const good = { val: [0.9, 0.2], test: [0.9, 0.75, 0.1] };

describe('submit', () => {
  it('averages the members and names every test scan once: a tie and a scan without volume, too', async () => {
    const run = await runOf(['x', 'y']);
    await finish(run, 'x', { val: [0.9, 0.2], test: [0.9, 0.75, 0.1] });
    await finish(run, 'y', { val: [0.9, 0.2], test: [0.8, 0.25, 0.1] });
    const { split, submissions } = await submitRun(run);
    expect(split).toBe('test');
    const all = await readSubmission(submissionFolder(run, 'all'), classes);
    expect(all).toEqual({ covid: ['one'], 'non-covid': ['two', 'three', 'broken'] }); // (0.75 + 0.25) / 2 is a tie
    expect((await readSubmission(submissionFolder(run, 'first'), classes))['covid']).toEqual([
      'one',
      'two',
      'broken',
    ]);
    expect(submissions[0]!.failed).toEqual([
      expect.stringMatching(/broken: no slice of it can be decoded; submitted as non-covid/),
    ]);
    expect(await readFile(submissions[0]!.files[0]!, 'utf8')).toBe('two\nthree\nbroken\n');
    expect(submissions[0]!.predictions).toBe(predictionsFile(run, 'all'));
    expect((await readFile(predictionsFile(run, 'all'), 'utf8')).split('\n')).toEqual([
      'scan,name,split,predicted,true,probability_non-covid,probability_covid,failure',
      expect.stringMatching(/^test\/one,one,test,covid,,0\.1[45]\d*,0\.85\d*,$/),
      'test/two,two,test,non-covid,,0.5,0.5,',
      'test/three,three,test,non-covid,,0.9,0.1,',
      'test/broken,broken,test,,,,,no slice of it can be decoded',
      '',
    ]);
  });

  it('writes what it can and names the member that is not done', async () => {
    const run = await runOf(['x', 'y']);
    await finish(run, 'x', { val: [0.9, 0.2], test: [0.9, 0.75, 0.1] });
    const { submissions } = await submitRun(run);
    expect(submissions.map(({ name, missing, files }) => [name, missing, files.length])).toEqual([
      ['all', ['y'], 0],
      ['first', [], 2],
    ]);
  });

  it('names the validation scans where there are no test scans', async () => {
    const run = await runOf(['x'], val);
    await finish(run, 'x', { val: [0.9, 0.2], test: [], tests: [] });
    expect((await submitRun(run)).split).toBe('val');
    expect(await readSubmission(submissionFolder(run, 'all'), classes)).toEqual({
      covid: ['a'],
      'non-covid': ['b'],
    });
  });

  it('asks for a run', async () => {
    await expect(submitRun(await temporaryRun())).rejects.toThrow(/there is no run here/);
  });
});

describe('evaluate', () => {
  it('scores validation scans, and test scans where their class is known', async () => {
    const tests = [scan('test/covid/one', 1), scan('test/non-covid/two', 0)];
    const run = await runOf(['x', 'y'], [...val, ...tests]);
    await finish(run, 'x', { val: [0.9, 0.2], test: [0.9, 0.9], tests });
    const evaluation = await evaluateRun(run);
    expect(evaluation.missing).toEqual(['y']);
    expect(evaluation.val!.subsets[0]!.scores.macroF1).toBe(1);
    // Both called covid: F1 0 and 2/3.
    expect(evaluation.test!.subsets[0]!.scores.macroF1).toBeCloseTo(1 / 3, 10);
  });

  it('leaves test scans alone whose class is not known', async () => {
    const run = await runOf(['x']);
    await finish(run, 'x', { val: [0.9, 0.2], test: [0.9, 0.75, 0.1] });
    expect((await evaluateRun(run)).test).toBeNull();
  });

  it('needs a member that is done', async () => {
    await expect(evaluateRun(await runOf(['x']))).rejects.toThrow(/no member of this run is done/);
  });
});

test('scans of one name in two classes keep their class in the name', () => {
  const scans = [
    scan('val/covid/ct_scan_1', 1),
    scan('val/non-covid/ct_scan_1', 0),
    scan('val/covid/ct_scan_2', 1),
  ];
  expect(submissionNames(scans)).toEqual(['covid/ct_scan_1', 'non-covid/ct_scan_1', 'ct_scan_2']);
});

/** The file's text with one part replaced; the part must be there. */
async function edit(file: string, from: string | RegExp, to: string) {
  const text = await readFile(file, 'utf8');
  const edited = text.replace(from, to);
  expect(edited).not.toBe(text);
  await writeFile(file, edited);
}

describe('probabilities that are not those of the run', () => {
  const testFile = (run: string) => probabilitiesFile(run, 'x', 'test');
  const lineOf = (key: string) => new RegExp(`\\n    \\{"key":"${key}".*`);

  it.each<[string, (run: string) => Promise<void>, RegExp]>([
    [
      'rows are removed',
      (run) => edit(testFile(run), lineOf('test/two'), ''),
      /x\/probabilities\/test\.json: its scans are not those of this run: missing scans: test\/two → start/,
    ],
    [
      'the validation file is copied over the test file',
      async (run) => writeFile(testFile(run), await readFile(probabilitiesFile(run, 'x', 'val'))),
      /test\.json: says split val, not test →/,
    ],
    [
      'the classes are in another order',
      (run) => edit(testFile(run), '"non-covid","covid"', '"covid","non-covid"'),
      /has the classes covid, non-covid; those of the run are non-covid, covid →/,
    ],
    [
      'a scan is renamed',
      (run) => edit(testFile(run), '"name":"two"', '"name":"second"'),
      /other names: test\/two is named second, not two →/,
    ],
    [
      'a key is unknown',
      (run) => edit(testFile(run), 'test/two', 'test/zwei'),
      /missing scans: test\/two; unknown scans: test\/zwei →/,
    ],
    [
      'a label is given where the class is not known',
      (run) => edit(testFile(run), /("name":"two","label":)null/, '$11'),
      /other labels: test\/two has covid, not no class →/,
    ],
    [
      'the failed scan is left out',
      (run) => edit(testFile(run), lineOf('test/broken'), ''),
      /missing scans: test\/broken →/,
    ],
    [
      'scans stand in another order',
      async (run) => {
        const content = (await readJson(testFile(run))) as { scans: unknown[] };
        await writeJson(testFile(run), { ...content, scans: content.scans.reverse() });
      },
      /scans in another order: test\/one, test\/three →/,
    ],
    [
      'a probability is not a number',
      (run) => edit(testFile(run), /0\.75\]/, 'NaN]'),
      /test\.json: scan test\/two: a probability is NaN, not a finite number →/,
    ],
    [
      'the file is missing',
      (run) => rm(testFile(run)),
      /test\.json: there is no such file of probabilities →/,
    ],
    ['the file is damaged', (run) => edit(testFile(run), '"classes"', 'classes'), /test\.json: is not JSON/],
  ])('where %s', async (_, damage, message) => {
    const run = await runOf(['x', 'y']);
    await finish(run, 'x', good);
    await finish(run, 'y', good);
    await submitRun(run);
    await damage(run);
    // Both submissions need x: neither is written, and the older files are gone.
    const { submissions, unusable } = await submitRun(run);
    expect(unusable).toEqual([{ member: 'x', problem: expect.stringMatching(message) }]);
    expect(submissions.map(({ files, unusable }) => [files, unusable])).toEqual([
      [[], ['x']],
      [[], ['x']],
    ]);
    expect(await readdir(join(run, 'submissions'))).toEqual(['summary.json']);
    expect(await readdir(join(run, 'predictions'))).toEqual([]);
    const evaluation = await evaluateRun(run);
    expect(evaluation.unusable).toEqual(unusable);
    expect(evaluation.val!.subsets.map(({ subset }) => subset)).toEqual([['y']]);
    expect(evaluation.notScored).toEqual([
      { submission: 'all', members: ['x'] },
      { submission: 'first', members: ['x'] },
    ]);
    await rm(doneFile(run, 'y'));
    await expect(evaluateRun(run)).rejects.toThrow(message);
  });

  it('scores the ensemble of those that are done where a member failed, and says which and why', async () => {
    const run = await runOf(['x', 'y', 'z']);
    await finish(run, 'x', good);
    await finish(run, 'z', good);
    await writeFailed(run, 'y', { reason: 'its process was ended by SIGSEGV', kind: 'signal', attempt: 4 });
    const { val, missing, failures, notScored } = await evaluateRun(run);
    expect(val!.subsets.map(({ subset }) => subset)).toEqual([['x'], ['z'], ['x', 'z']]);
    expect(missing).toEqual(['y']);
    expect(failures).toEqual([{ member: 'y', reason: 'its process was ended by SIGSEGV' }]);
    expect(notScored).toEqual([{ submission: 'all', members: ['y'] }]);
  });

  it('names the first ten scans of many', async () => {
    const many = Array.from({ length: 15 }, (_, i) => scan(`test/s${i}`, null));
    const run = await runOf(['x'], [...val, ...many]);
    await finish(run, 'x', { ...good, test: [0.5], tests: many.slice(0, 1) });
    const { unusable } = await submitRun(run);
    expect(unusable[0]!.problem).toMatch(/missing scans: test\/s1, .*test\/s10 and 4 more →/);
  });

  it.each<[string, (run: string) => Promise<void>, RegExp]>([
    [
      'scans.msgpack is missing',
      (run) => rm(scansFile(run)),
      /scans\.msgpack: .*cannot be read.*ENOENT.* → start/,
    ],
    [
      'scans.msgpack is damaged',
      (run) => writeFile(scansFile(run), 'no MessagePack'),
      /scans\.msgpack: .* → start the training/,
    ],
    [
      'scans.msgpack is of other scans',
      (run) => writeScans(run, [{ members: ['x'], scans: [...val, ...test3.slice(1)] }]),
      /scans\.msgpack: the digest .* is not the one in plan\.json; dataset\.json differs from it: unknown scans: test\/one →/,
    ],
    [
      'a name in scans.msgpack is changed',
      (run) =>
        writeScans(run, [
          { members: ['x'], scans: [...val, ...test3].map((each) => ({ ...each, name: `${each.name}!` })) },
        ]),
      /dataset\.json: its scans are not those of scans\.msgpack: other names: val\/covid\/a is named a, not a!/,
    ],
    [
      'a label in dataset.json is changed',
      (run) => writeJson(datasetFile(run), { classes, scans: [{ ...val[0]!, label: 0 }, val[1], ...test3] }),
      /dataset\.json: .*other labels: val\/covid\/a has non-covid, not covid → start/,
    ],
    [
      'a split in dataset.json is changed',
      (run) =>
        writeJson(datasetFile(run), { classes, scans: [{ ...val[0]!, split: 'train' }, val[1], ...test3] }),
      /other splits: val\/covid\/a is in train, not in val/,
    ],
    [
      'dataset.json has the classes in another order',
      (run) => writeJson(datasetFile(run), { classes: ['covid', 'non-covid'], scans: [...val, ...test3] }),
      /dataset\.json: has the classes covid, non-covid, but plan\.json has non-covid, covid/,
    ],
    ['dataset.json is missing', (run) => rm(datasetFile(run)), /dataset\.json: the file is missing → start/],
    [
      'the digest in plan.json is another',
      (run) => edit(planFile(run), /"digest": "./, '"digest": "x'),
      /scans\.msgpack: the digest .* is not the one in plan\.json →/,
    ],
    [
      'the counts in plan.json are others',
      (run) => edit(planFile(run), '"test": 3', '"test": 4'),
      /has 3 usable scans of split test, but plan\.json says 4/,
    ],
  ])('nothing is scored or submitted where %s', async (_, damage, message) => {
    const run = await runOf(['x']);
    await finish(run, 'x', good);
    await submitRun(run);
    const before = await readFile(summaryFile(run), 'utf8');
    await damage(run);
    await expect(submitRun(run)).rejects.toThrow(message);
    await expect(evaluateRun(run)).rejects.toThrow(message);
    expect(await readFile(summaryFile(run), 'utf8')).toBe(before);
    expect(await readdir(submissionFolder(run, 'all'))).toEqual(['covid.csv', 'non-covid.csv']);
  });

  it('are suspected where the score is not the one of training, or two members have the same', async () => {
    const run = await runOf(['x', 'y']);
    await finish(run, 'x', good);
    await finish(run, 'y', { ...good, macroF1: 0.5 });
    expect((await evaluateRun(run)).findings).toEqual([
      expect.stringMatching(
        /^y: training reported macro F1 50\.00, but the probabilities in val\.json give 100\.00/,
      ),
      expect.stringMatching(/^y has the same probabilities as x/),
    ]);
    expect((await submitRun(run)).findings).toEqual([expect.stringMatching(/^y has the same/)]);
  });
});

test('training and evaluation agree on failed validation scans', async () => {
  // Training scores a and b only: a is right, b wrong, so F1 is 2/3 for covid, 0 for non-covid.
  const vals = [...val, scan('val/covid/c', 1, null)];
  const run = await runOf(['x'], [...vals, ...test3]);
  await finish(run, 'x', { ...good, val: [0.9, 0.8], vals, macroF1: 1 / 3 });
  const evaluation = await evaluateRun(run);
  expect(evaluation.findings).toEqual([]);
  const [{ scores, withoutFailed }] = evaluation.val!.subsets as [SubsetScores];
  expect(withoutFailed!.macroF1).toBeCloseTo(1 / 3, 12);
  // The failed scan counts as covid, the class predicted most often: F1 4/5 and 0.
  expect(scores.macroF1).toBeCloseTo(2 / 5, 12);
});

describe('the folders submissions/ and predictions/', () => {
  const inFolders = async (run: string) =>
    [
      ...(await readdir(join(run, 'submissions'), { recursive: true })).map((file) => `submissions/${file}`),
      ...(await readdir(join(run, 'predictions'))).map((file) => `predictions/${file}`),
    ].sort();
  const both = [
    'predictions/all.csv',
    'predictions/first.csv',
    'submissions/all',
    'submissions/all/covid.csv',
    'submissions/all/non-covid.csv',
    'submissions/first',
    'submissions/first/covid.csv',
    'submissions/first/non-covid.csv',
    'submissions/summary.json',
  ];
  const withFirst = both.filter((file) => !file.includes('all'));
  async function twoMembers() {
    const run = await runOf(['x', 'y']);
    await finish(run, 'x', good);
    await finish(run, 'y', good);
    await submitRun(run);
    expect(await inFolders(run)).toEqual(both);
    return run;
  }

  it('lose a submission whose member is not done any more', async () => {
    const run = await twoMembers();
    await rm(doneFile(run, 'y'));
    await submitRun(run);
    expect(await inFolders(run)).toEqual(withFirst);
  });

  it('lose a submission that is renamed in the recipe, also if paths of the summary are of another folder', async () => {
    const run = await twoMembers();
    await edit(summaryFile(run), /"files": \[\s*"[^"]*\/submissions/, '"files": [ "runs/moved/submissions');
    await edit(planFile(run), '"name": "all"', '"name": "ensemble"');
    await submitRun(run);
    expect(await inFolders(run)).toEqual(both.map((file) => file.replace('all', 'ensemble')).sort());
  });

  it('lose the file of a class that is renamed', async () => {
    const run = await twoMembers();
    const scans = [...val, ...test3];
    await edit(planFile(run), /"covid"/g, '"positive"');
    await writeJson(datasetFile(run), { classes: ['non-covid', 'positive'], scans });
    for (const member of ['x', 'y'])
      for (const split of ['val', 'test'] as const)
        await edit(probabilitiesFile(run, member, split), '"covid"', '"positive"');
    await submitRun(run);
    expect(await inFolders(run)).toEqual(
      both.map((file) => file.replace('/covid.csv', '/positive.csv')).sort(),
    );
  });

  it('keep what this program has not written, and report it', async () => {
    const run = await twoMembers();
    await mkdir(join(run, 'submissions', 'mine'));
    const own = [
      join(run, 'submissions', 'all', 'notes.txt'),
      join(run, 'submissions', 'mine', 'covid.csv'),
      join(run, 'predictions', 'mine.csv'),
    ];
    for (const file of own) await writeFile(file, 'mine');
    await rm(doneFile(run, 'y'));
    expect((await submitRun(run)).unknownFiles).toEqual(own);
    expect(await inFolders(run)).toEqual(
      [
        ...withFirst,
        'submissions/all',
        'submissions/mine',
        ...own.map((file) => file.slice(run.length + 1)),
      ].sort(),
    );
  });

  it('are not changed where a CSV file of unknown origin would be taken for a class', async () => {
    const run = await twoMembers();
    await writeFile(join(submissionFolder(run, 'first'), 'mild.csv'), 'one\n');
    await edit(planFile(run), '"name": "all"', '"name": "ensemble"');
    await expect(submitRun(run)).rejects.toThrow(/first: holds mild\.csv, no class of this submission →/);
    expect(await inFolders(run)).toEqual([...both, 'submissions/first/mild.csv'].sort());
  });

  it('are never cleared outside of the run, whatever summary.json says', async () => {
    const run = await twoMembers();
    const outside = join(run, 'members', 'x', 'outside.csv');
    await writeFile(outside, 'mine');
    await writeJson(summaryFile(run), {
      submissions: [
        { name: '../members/x', files: [outside, '../outside.csv'] },
        { name: 'all', files: [outside, 7] },
        3,
      ],
    });
    await submitRun(run);
    expect(existsSync(outside)).toBe(true);
    expect(await inFolders(run)).toEqual(both);
  });

  it('are completed by the next call where one was interrupted at any point', async () => {
    const run = await twoMembers();
    await edit(planFile(run), '"name": "all"', '"name": "ensemble"');
    // A folder in the place of a table: the interrupted call has written the files of ensemble, but not its table.
    await mkdir(join(predictionsFile(run, 'ensemble'), 'x'), { recursive: true });
    await expect(submitRun(run)).rejects.toThrow();
    expect(existsSync(summaryFile(run))).toBe(false);
    expect(existsSync(join(submissionFolder(run, 'ensemble'), 'covid.csv'))).toBe(true);
    await rm(predictionsFile(run, 'ensemble'), { recursive: true });
    // The recipe is changed once more, so only the list of the interrupted call knows of ensemble.
    await edit(planFile(run), '"name": "ensemble"', '"name": "third"');
    await submitRun(run);
    expect(await inFolders(run)).toEqual(both.map((file) => file.replace('all', 'third')).sort());
  });
});

describe('members of folds', () => {
  const names = [1, 2].flatMap((seed) => [1, 2].map((fold) => `densenet_small-seed${seed}-fold${fold}`));
  const folds = Object.fromEntries(names.map((name) => [name, Number(name.at(-1))]));
  /** Of one name in two splits: they are named by their keys where they are listed together. */
  const folded = [
    { ...scan('train/covid/a', 1), fold: 1 },
    { ...scan('train/non-covid/b', 0), fold: 1 },
    { ...scan('train/covid/c', 1, null), fold: 2 },
    { ...scan('val/covid/a', 1), fold: 2 },
    { ...scan('val/non-covid/d', 0), fold: 2 },
  ];
  const tests = test3.map((each) => ({ ...each, fold: null }));

  async function gridRun(ofTest: RunScan[] = tests, submissions = '') {
    const run = await temporaryRun();
    const text = recipeText(['x'])
      .replace(/members: \[\{.*/, 'members: { architectures: [densenet_small], seeds: [1, 2], folds: 2 }')
      .replace(/submissions:[^]*/, submissions);
    const all = [...folded, ...ofTest];
    const scans = [{ members: names, scans: all, folds }];
    const dataset = { root: '/', layout: 'folders', classes, splits: 'data' as const, labels: null };
    const recipe = parseRecipe(text, 'test');
    const plan = makePlan({ recipe, dataset, scans, engine: 'cpu', devices: ['cpu:1'] });
    await adoptPlan(run, plan, { scans });
    await writeJson(datasetFile(run), { classes, scans: all });
    return run;
  }

  const finishFold = (
    run: string,
    name: string,
    { covid, macroF1 = 1 }: { covid: number[]; macroF1?: number },
  ) =>
    finish(run, name, {
      val: covid,
      test: [0.9, 0.75, 0.1],
      vals: folded.filter(({ fold }) => fold === folds[name]),
      macroF1,
    });
  async function finishAll(run: string) {
    await finishFold(run, names[0]!, { covid: [0.9, 0.2] });
    await finishFold(run, names[1]!, { covid: [0.8, 0.1] });
    await finishFold(run, names[2]!, { covid: [0.7, 0.4] });
    await finishFold(run, names[3]!, { covid: [0.6, 0.7], macroF1: 1 / 3 });
  }

  it('are evaluated out of fold, and on test scans whose class is known; the validation scans are not', async () => {
    const known = [scan('test/covid/one', 1), scan('test/non-covid/two', 0)].map((each) => ({
      ...each,
      fold: null,
    }));
    const run = await gridRun(known);
    for (const [i, name] of names.entries())
      await finish(run, name, {
        val: [[0.9, 0.2], [0.8, 0.1], [0.7, 0.4], [0.6, 0.7]][i]!,
        vals: folded.filter(({ fold }) => fold === folds[name]),
        test: [0.9 - i / 100, 0.2],
        tests: known,
        macroF1: i === 3 ? 1 / 3 : 1,
      }); // prettier-ignore
    const { val, outOfFold, test, findings, missing } = await evaluateRun(run);
    expect([val, missing, findings]).toEqual([null, [], []]);
    expect(test!.subsets.at(-1)!.scores.macroF1).toBe(1);
    expect(outOfFold!.failed).toEqual([{ key: 'train/covid/c', reason: 'no slice of it can be decoded' }]);
    // Means of covid: 0.8, 0.3; 0.7, 0.4: right. The failed scan counts as non-covid, of which equal numbers are called.
    expect(outOfFold!.ensemble.pooled.matrix).toEqual([
      [2, 0],
      [1, 2],
    ]);
  });

  it('without test labels and without test scans they are evaluated, too', async () => {
    for (const some of [tests, []]) {
      const run = await gridRun(some);
      for (const name of names)
        await finish(run, name, {
          ...(await filesOf(name)),
          test: some.length > 0 ? good.test : [],
          tests: some,
        });
      const { outOfFold, test } = await evaluateRun(run);
      expect([outOfFold!.scans, test]).toEqual([5, null]);
    }
    async function filesOf(name: string) {
      return { val: [0.9, 0.2], vals: folded.filter(({ fold }) => fold === folds[name]) };
    }
  });

  it('members that are not done or not of their fold are missing; the others are evaluated', async () => {
    const run = await gridRun();
    await finishAll(run);
    await rm(doneFile(run, names[1]!));
    // The probabilities of fold 1 in the place of those of fold 2.
    await writeFile(
      probabilitiesFile(run, names[3]!, 'val'),
      await readFile(probabilitiesFile(run, names[2]!, 'val')),
    );
    const { outOfFold, missing, unusable, notScored } = await evaluateRun(run);
    expect(missing).toEqual([names[1]]);
    expect(unusable).toEqual([
      {
        member: names[3],
        problem: expect.stringMatching(
          /val.json: its scans are not those of this run: missing scans: val\/covid\/a, val\/non-covid\/d, train\/covid\/c/,
        ),
      },
    ]);
    expect(outOfFold!.missing).toEqual([names[1], names[3]]);
    expect(outOfFold!.uncovered).toEqual([{ fold: 2, scans: 3 }]);
    expect(outOfFold!.groups.map(({ folds }) => folds)).toEqual([[1], [1]]);
    expect(notScored).toEqual([]);
  });

  it('submit the mean of all members for test scans, and a table of out-of-fold probabilities', async () => {
    const run = await gridRun();
    await finishAll(run);
    const { split, submissions, outOfFold } = await submitRun(run);
    expect([split, submissions[0]!.members]).toEqual(['test', names]);
    expect(await readSubmission(submissionFolder(run, 'ensemble'), classes)).toEqual({
      covid: ['one', 'two', 'broken'],
      'non-covid': ['three'],
    });
    expect(outOfFold).toBe(predictionsFile(run, 'out-of-fold'));
    expect((await readFile(outOfFold!, 'utf8')).split('\n')).toEqual([
      'scan,name,fold,predicted,true,probability_non-covid,probability_covid,failure',
      expect.stringMatching(/^train\/covid\/a,train\/covid\/a,1,covid,covid,0\.(2|19)\d*,0\.8\d*,$/),
      expect.stringMatching(/^train\/non-covid\/b,b,1,non-covid,non-covid,0\.7\d*,0\.(3|29)\d*,$/),
      expect.stringMatching(/^val\/covid\/a,val\/covid\/a,2,covid,covid,0\.(3|29)\d*,0\.(7|69)\d*,$/),
      expect.stringMatching(/^val\/non-covid\/d,d,2,non-covid,non-covid,0\.(6|59)\d*,0\.(4|39)\d*,$/),
      'train/covid/c,c,2,,covid,,,no slice of it can be decoded',
      '',
    ]);
    expect((await submitRun(run)).unknownFiles).toEqual([]);
  });

  it('submit the scans of all folds where there are no test scans, if the members cover all folds', async () => {
    const run = await gridRun(
      [],
      'submissions: [{ name: all, members: all }, { name: half, members: [densenet_small-seed1-fold2] }]',
    );
    for (const [i, name] of names.entries())
      await finish(run, name, {
        val: [[0.9, 0.2], [0.8, 0.1], [0.7, 0.4], [0.6, 0.7]][i]!,
        vals: folded.filter(({ fold }) => fold === folds[name]),
        test: [],
        tests: [],
      }); // prettier-ignore
    const { split, submissions } = await submitRun(run);
    expect(split).toBe('val');
    expect(
      submissions.map(({ name, files, uncoveredFolds }) => [name, files.length, uncoveredFolds]),
    ).toEqual([
      ['all', 2, []],
      ['half', 0, [1]],
    ]);
    const written = await readSubmission(submissionFolder(run, 'all'), classes);
    expect(written['covid']).toEqual(['train/covid/a', 'val/covid/a']);
    expect(written['non-covid']!.sort()).toEqual(['b', 'c', 'd']);
  });

  describe('with a combination that is chosen', () => {
    const weighted =
      'submissions: [{ name: w, members: all, combination: weighted }, { name: m, members: all }]';

    it('weights of the closed form: applied to the test scans, nested in the evaluation, written in summary.json', async () => {
      const run = await gridRun(tests, weighted);
      // Probabilities of the true class, over the four scans: seed 1 has 0.9 three times and 0.1 once, seed 2 the other way round:
      // 3 / (0.1 + 0.8w) = 1 / (0.9 − 0.8w) has its root at w = 0.8125.
      const val = [[0.9, 0.1], [0.9, 0.9], [0.1, 0.9], [0.1, 0.1]]; // prettier-ignore
      for (const [i, name] of names.entries())
        await finish(run, name, {
          val: val[i]!,
          vals: folded.filter(({ fold }) => fold === folds[name]),
          test: i < 2 ? [0.8, 0.2, 0.6] : [0.2, 0.6, 0.8],
          macroF1: [1, 1 / 3, 0, 1 / 3][i]!,
        });
      const { submissions } = await submitRun(run);
      const choice = submissions[0]!.combination!;
      expect(choice).toMatchObject({ method: 'weighted', temperature: null, threshold: null, scans: 4 });
      expect(choice.weights.map(({ group, weight }) => [group, weight])).toEqual([
        ['densenet_small-seed1', expect.closeTo(0.8125, 8)],
        ['densenet_small-seed2', expect.closeTo(0.1875, 8)],
      ]);
      // 0.8125 · 0.8 + 0.1875 · 0.2 = 0.6875; then 0.275 and 0.6375. The mean is 0.5, 0.4, 0.7.
      const rows = (await readFile(predictionsFile(run, 'w'), 'utf8')).split('\n').slice(1, 4);
      expect(rows.map((row) => Number(row.split(',').at(-2)))).toEqual(
        [0.6875, 0.275, 0.6375].map((p) => expect.closeTo(p, 8)),
      );
      const summary = JSON.parse(await readFile(join(run, 'submissions', 'summary.json'), 'utf8'));
      expect(summary.submissions[0].combination.method).toBe('weighted');
      expect('combination' in summary.submissions[1]).toBe(false);

      const { combinations, outOfFold } = await evaluateRun(run);
      expect(combinations).toHaveLength(1);
      expect(combinations[0]!.choice).toEqual(choice);
      expect(combinations[0]!.test).toBeNull();
      expect(combinations[0]!.mean).toEqual(outOfFold!.ensemble.pooled);
      const text = renderCombinations(combinations, classes);
      expect(text).toContain(
        'w: weighted: densenet_small-seed1 0.81, densenet_small-seed2 0.19 (chosen on 4 scans)',
      );
    });

    it('a submission of the mean has the same files as without any choice beside it', async () => {
      const [plain, chosen] = [await gridRun(), await gridRun(tests, weighted)];
      for (const run of [plain, chosen]) await finishAll(run);
      await submitRun(plain);
      await submitRun(chosen);
      const table = (run: string, name: string) => readFile(predictionsFile(run, name), 'utf8');
      expect(await table(chosen, 'm')).toBe(await table(plain, 'ensemble'));
    });

    it('is refused by the recipe without folds, and for members that do not cover all folds', () => {
      const text = (submissions: string) => recipeText(['x', 'y']).replace(/submissions:[^]*/, submissions);
      expect(() =>
        parseRecipe(text('submissions: [{ name: w, members: all, combination: greedy }]'), 'r'),
      ).toThrow(
        /submissions\[0\]\.combination needs members of folds: a choice made on the scans on which the best epochs/,
      );
      const grid = text(
        'submissions: [{ name: w, members: [densenet_small-seed1-fold1, densenet_small-seed2], threshold: true }]',
      ).replace(/members: \[\{.*/, 'members: { architectures: [densenet_small], seeds: [1, 2], folds: 2 }');
      expect(() => parseRecipe(grid, 'r')).toThrow(
        /submissions\[0\]\.members needs the members of all folds of each group: densenet_small-seed1-fold1 has none for fold 2/,
      );
      const severity = grid
        .replace('task: detection', 'task: severity')
        .replace('densenet_small-seed1-fold1, ', '');
      expect(() => parseRecipe(severity, 'r')).toThrow(/threshold needs two classes, and there are 4/);
    });
  });
});
