// A grid of two folds from scans to out-of-fold scores, with the commands that a user runs.
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evaluatorProgram, shortTraining, trainRun } from '../testing/tiny-run.ts';

const recipe = `
name: folds
task: detection
description: A grid for the test.
volume: { depth: 4, height: 16, width: 16 }
members: { architectures: [densenet_small], seeds: [1], folds: 2 }
${shortTraining(4)}submissions:
  - { name: ensemble, members: all }
  - { name: cut, members: all, threshold: true }
`;

let folder: string;
const node = (...args: string[]) => spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
const members = ['densenet_small-seed1-fold1', 'densenet_small-seed1-fold2'];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-folds-'));
  const stdout = await trainRun(folder, { text: recipe, phantoms: ['--scans', '12', '--size', '32'] });
  expect(stdout).toMatch(/^2 folds by patient of the \d+ scans for training and validation, of/m);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Keys of the scans of each split and fold, from splits.csv. */
async function foldsIn(file: string) {
  const [header, ...rows] = (await readFile(join(folder, file), 'utf8')).trimEnd().split('\n');
  expect(header).toBe('scan,label,patient,split,fold');
  return rows.map((row) => row.split(',')).map(([key, , , split, fold]) => ({ key, split, fold }));
}

test('each member has predicted its fold, as splits.csv says, and the test scans', async () => {
  expect(await readdir(join(folder, 'run', 'members'))).toEqual(members);
  const scans = await foldsIn('run/splits.csv');
  const keysOf = async (member: string, split: string) => {
    const file = join(folder, 'run', 'members', member, 'probabilities', `${split}.json`);
    return (JSON.parse(await readFile(file, 'utf8')) as { scans: { key: string }[] }).scans.map(
      ({ key }) => key,
    );
  };
  for (const [i, member] of members.entries()) {
    const fold = scans.filter((scan) => scan.fold === String(i + 1));
    expect(fold.length).toBeGreaterThan(0);
    expect(await keysOf(member, 'val')).toEqual(fold.map(({ key }) => key));
    const tests = scans.filter(({ split }) => split === 'test');
    expect(await keysOf(member, 'test')).toEqual(tests.map(({ key }) => key));
  }
  expect(scans.filter(({ split, fold }) => (split === 'test') !== (fold === ''))).toEqual([]);
});

test('evaluate has the out-of-fold scores in its JSON', async () => {
  const {
    outOfFold,
    val,
    test: hidden,
    combinations,
    intervals,
    doubt,
  } = JSON.parse(node(evaluatorProgram, 'evaluate', '--run', 'run', '--json').stdout);
  expect([val, hidden]).toEqual([null, null]);
  const scans = (await foldsIn('run/splits.csv')).filter(({ fold }) => fold !== '').length;
  expect(outOfFold).toMatchObject({ folds: 2, scans, missing: [], uncovered: [] });
  expect(outOfFold.groups).toHaveLength(1);
  expect(outOfFold.ensemble.scans).toBe(scans);
  // The submission that chooses is a row, with its nested figure.
  const [row] = intervals[0].rows.filter((each: { row: string }) => each.row === 'cut');
  expect(row['macro F1']).toBeCloseTo(combinations[0].nested.macroF1, 12);
  // The test scans have no classes, and still doubt.
  const tests = (await foldsIn('run/splits.csv')).filter(({ split }) => split === 'test');
  expect(doubt).toHaveLength(1);
  expect(doubt[0].scans.map(({ key }: { key: string }) => key).sort()).toEqual(
    tests.map(({ key }) => key).sort(),
  );
});

test('submit names the test scans, and writes the out-of-fold probabilities', async () => {
  const { status, stdout } = node(evaluatorProgram, 'submit', '--run', 'run');
  expect(status).toBe(0);
  expect(stdout).toContain(
    'Out-of-fold probabilities of all finished members: run/predictions/out-of-fold.csv',
  );
  const lists = await Promise.all(
    ['covid', 'non-covid'].map((name) =>
      readFile(join(folder, `run/submissions/ensemble/${name}.csv`), 'utf8'),
    ),
  );
  const tests = (await foldsIn('run/splits.csv')).filter(({ split }) => split === 'test');
  expect(lists.join('').trimEnd().split('\n').sort()).toEqual(
    tests.map(({ key }) => key!.split('/').at(-1)!).sort(),
  );
  const table = await readFile(join(folder, 'run/predictions/out-of-fold.csv'), 'utf8');
  expect(table.trimEnd().split('\n')).toHaveLength(
    1 + (await foldsIn('run/splits.csv')).length - tests.length,
  );
});

test('a member that is not done is named, and the others are evaluated', async () => {
  await rm(join(folder, 'run', 'members', members[1]!), { recursive: true });
  const { status, stdout } = node(evaluatorProgram, 'evaluate', '--run', 'run');
  expect(status).toBe(0);
  expect(stdout).toContain(`Not trained yet, so not in the tables: ${members[1]}`);
  expect(stdout).toContain('the best epoch of each member was chosen on its own fold');
  expect(stdout).toMatch(/^ {2}fold 2 has no finished member: its \d+ scans are in no row of the table$/m);
  expect(stdout).toMatch(/^densenet_small-seed1 +1 of 2 +\d/m);
});

test('report: the page with pictures, and the same scores as evaluate', async () => {
  const { key } = (await foldsIn('run/splits.csv')).find(({ fold }) => fold === '1')!;
  const explained = node(
    evaluatorProgram,
    'explain',
    '--run',
    'run',
    '--volumes',
    'volumes',
    '--scans',
    key!,
  );
  expect([explained.status, explained.stderr]).toEqual([0, '']);
  const options = ['--run', 'run', '--volumes', 'volumes', '--out', 'report'];
  const { status, stdout, stderr } = node(evaluatorProgram, 'report', ...options);
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toContain('out-of-fold scans');
  const page = await readFile(join(folder, 'report', 'report.html'), 'utf8');
  expect(page).toContain('src="data:image/jpeg;base64,');
  expect(page).toContain('src="data:image/webp;base64,');
  const report = JSON.parse(await readFile(join(folder, 'report', 'report.json'), 'utf8'));
  const { outOfFold, intervals } = JSON.parse(
    node(evaluatorProgram, 'evaluate', '--run', 'run', '--json').stdout,
  );
  const { estimate, interval } = report.splits[0].rows[0].scores.macroF1;
  expect(estimate).toBeCloseTo(outOfFold.ensemble.pooled.macroF1, 12);
  expect(intervals[0].rows[0]).toMatchObject({
    'macro F1': estimate,
    'macro F1 (95 % low)': interval[0],
    'macro F1 (95 % high)': interval[1],
  });
  const table = await readFile(join(folder, 'report', 'tables', 'out-of-fold-scores.csv'), 'utf8');
  expect(table).toContain('densenet_small-seed1');
});
