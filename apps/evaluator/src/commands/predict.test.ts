// From a trained run to answers for scans, with the commands that a user runs.
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { linesOf, packedRun } from './packed-run.fixture.ts';

let run: Awaited<ReturnType<typeof packedRun>>;
beforeAll(async () => {
  run = await packedRun();
});
afterAll(() => run.remove());

test('packing twice gives equal bytes', async () => {
  const { pack } = run;
  expect(pack('--out', 'again.ctens')).toMatchObject({ status: 0 });
  const [first, second] = [
    await readFile(join(run.folder, 'a.ctens')),
    await readFile(join(run.folder, 'again.ctens')),
  ];
  expect(Buffer.compare(first, second)).toBe(0);
});

test("in the run's batches the members' probabilities are the run's own, bit for bit", async () => {
  const { predict, read } = run;
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
  const volumes = await readdir(join(run.folder, 'volumes'));
  for (const { content } of answers) expect(volumes).toContain(`${content}.npy`);
});

test('a broken scan is a row with its reason, also in a table of scans; the exit code is 1', async () => {
  const { predict } = run;
  await mkdir(join(run.folder, 'mixed/broken'), { recursive: true });
  for (const k of [0, 1, 2, 3, 4]) await writeFile(join(run.folder, 'mixed/broken', `${k}.jpg`), 'no image');
  const [scan] = await readdir(join(run.folder, 'data/test'));
  await cp(join(run.folder, 'data/test', scan!), join(run.folder, 'mixed/good'), { recursive: true });
  await writeFile(join(run.folder, 'mixed/cut.nii.gz'), 'x');
  const { status, stdout } = predict('mixed', 'nowhere', '--json');
  expect(status).toBe(1);
  expect(linesOf(stdout).map(({ scan, failure }) => [scan, failure !== null])).toEqual([
    ['mixed/broken', true],
    ['mixed/cut.nii.gz', true],
    ['mixed/good', false],
    ['nowhere', true],
  ]);
  await writeFile(join(run.folder, 'list.csv'), 'scan\nmixed/good\nmixed/broken\n');
  const table = predict('list.csv');
  expect(table.stdout).toMatch(/1\/2 {2}mixed\/good +(non-)?covid +0\.\d{4}/);
  expect(table.stdout).toMatch(/2\/2 {2}mixed\/broken +failed: none of its 5 slices can be decoded/);
});
