import { readFile } from 'node:fs/promises';
import { writeJson } from '@ct-ensemble/core';
import type { StoredScan } from '@ct-ensemble/data';
import { adoptPlan } from '../run/plan.ts';
import { type Probabilities, writeProbabilities } from './probabilities.ts';
import { evaluateRun, submitRun } from './results.ts';
import { doneFile, predictionsFile, probabilitiesFile, submissionFolder } from '../run-folder.ts';
import { submissionNames } from './scan-names.ts';
import { readSubmission } from './submission.ts';
import { planOf, scan, temporaryRun } from '../testing.fixture.ts';

const classes = ['non-covid', 'covid'];
const val = [scan('val/covid/a', 1), scan('val/non-covid/b', 0)];
const test3 = [
  scan('test/one', null),
  scan('test/two', null),
  scan('test/three', null),
  scan('test/broken', null, null),
];

async function finish(
  run: string,
  member: string,
  of: { val: number[]; test: number[]; tests?: StoredScan[] },
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
  await writeProbabilities(probabilitiesFile(run, member, 'val'), probabilities('val', val, of.val));
  await writeProbabilities(
    probabilitiesFile(run, member, 'test'),
    probabilities('test', of.tests ?? test3, of.test),
  );
  await writeJson(doneFile(run, member), { macroF1: 1 });
}

async function runOf(members: string[]) {
  const run = await temporaryRun();
  await adoptPlan(run, planOf(members), { scans: [{ members, scans: [...val, ...test3] }] });
  return run;
}

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
    const run = await runOf(['x']);
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
    const run = await runOf(['x', 'y']);
    const tests = [scan('test/covid/one', 1), scan('test/non-covid/two', 0)];
    await finish(run, 'x', { val: [0.9, 0.2], test: [0.9, 0.9], tests });
    const evaluation = await evaluateRun(run);
    expect(evaluation.missing).toEqual(['y']);
    expect(evaluation.val.subsets[0]!.scores.macroF1).toBe(1);
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
