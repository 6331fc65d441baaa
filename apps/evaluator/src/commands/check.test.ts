// The command check: submissions that someone else made, against the scans of a data set and of a run.
import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evaluatorProgram, shortTraining, trainRun } from '../testing/tiny-run.ts';

const recipe = `
name: checked
task: detection
description: One small member for the test.
volume: { depth: 4, height: 16, width: 16 }
members: [{ name: one, architecture: densenet_small, seed: 1 }]
${shortTraining(4)}submissions: [{ name: own, members: [one] }]
`;

let folder: string;
let scans: string[];
const evaluator = (...args: string[]) =>
  spawnSync(process.execPath, [evaluatorProgram, ...args], { cwd: folder, encoding: 'utf8' });
const check = (...args: string[]) => evaluator('check', ...args);

/** A submission with these scans in the class covid and the others in non-covid. */
async function submission(name: string, covid: readonly string[], all = scans) {
  await mkdir(join(folder, name));
  const lines = (names: readonly string[]) => names.map((each) => `${each}\n`).join('');
  await writeFile(join(folder, name, 'covid.csv'), lines(covid));
  await writeFile(join(folder, name, 'non-covid.csv'), lines(all.filter((each) => !covid.includes(each))));
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-check-'));
  await trainRun(folder, { text: recipe, phantoms: ['--scans', '16', '--size', '32'] });
  scans = (await readdir(join(folder, 'data', 'test'))).sort();
  expect(scans.length).toBeGreaterThan(1);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("the run's own submission is valid, and so is one of the data set; agreement of two", async () => {
  expect(evaluator('submit', '--run', 'run').status).toBe(0);
  await cp(join(folder, 'run', 'submissions', 'own'), join(folder, 'copy'), { recursive: true });
  const { status, stdout, stderr } = check('--run', 'run', 'run/submissions/own', 'copy');
  expect([status, stderr]).toEqual([0, '']);
  const named = `${scans.length} of ${scans.length} scans named exactly once`;
  expect(stdout).toMatch(/^run\/submissions\/own: valid \(/m);
  expect(stdout).toContain(named);
  expect(stdout).toContain(`run/submissions/own and copy: 100.00 % of ${scans.length} scans`);
});

test('errors have file, line and exit code 1, as text and as JSON; --data gives the same scans as --run', async () => {
  const [first, second] = scans as [string, string];
  // The first scan is in both classes, the second in none.
  await submission(
    'wrong',
    [first],
    scans.filter((each) => each !== second),
  );
  await writeFile(join(folder, 'wrong', 'non-covid.csv'), `${first}\nnobody\n`);
  const asRun = check('--run', 'run', 'wrong');
  const asData = check('--data', 'data', 'wrong');
  expect([asRun.status, asData.status, asRun.stderr]).toEqual([1, 1, '']);
  expect(asData.stdout).toBe(asRun.stdout);
  expect(asRun.stdout).toMatch(/^wrong: NOT VALID, \d+ errors \(/m);
  expect(asRun.stdout).toMatch(
    new RegExp(
      `^  error: covid\\.csv line 1: ${first} is in two classes, non-covid \\(line 1 of non-covid\\.csv\\)`,
      'm',
    ),
  );
  expect(asRun.stdout).toMatch(/^ {2}error: non-covid\.csv line 2: nobody is no scan of the data set/m);
  expect(asRun.stdout).toContain(`error: ${second} is missing: it is in no class`);
  const { status, stdout } = check('--run', 'run', '--json', 'wrong');
  expect(status).toBe(1);
  const { scans: count, submissions } = JSON.parse(stdout) as {
    scans: number;
    submissions: { findings: { level: string }[]; named: number }[];
  };
  expect([count, submissions[0]!.named]).toEqual([scans.length, 0]);
  expect(submissions[0]!.findings.every(({ level }) => level === 'error')).toBe(true);
});

test.each([
  [['wrong'], /check needs the scans that are to be named → give either --run or --data/],
  [['--run', 'nowhere', 'own'], /nowhere: there is no run here/],
  [['--run', 'run', 'nothing'], /nothing: there is no such file or folder → name the files or the folder/],
])('refuses %j with one clear error', (args, message) => {
  const { status, stderr } = check(...args);
  expect([status, stderr]).toEqual([1, expect.stringMatching(message)]);
});
