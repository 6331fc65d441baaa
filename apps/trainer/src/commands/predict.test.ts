// The command predict, and what else may change after training: new test scans, members and epochs.
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../testing/run-command.ts';
import { probabilitiesOf, recipeOf, writeInputs } from '../testing/train.ts';

const tiny = { epochs: 1, edge: 16, members: ['one'] } as const;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-predict-'));
  await writeInputs(folder, tiny);
  expect(await trainer('all-members --data data --recipe tiny.yaml')).toMatchObject({ code: 0 });
  // The test set comes later: a scan more, the slices of another one in the opposite order.
  await cp(join(folder, 'data'), join(folder, 'later'), { recursive: true });
  const scan = join(folder, 'later', 'test', (await readdir(join(folder, 'later', 'test')))[0]!);
  const slices = (await readdir(scan)).sort((a, b) => Number.parseInt(a) - Number.parseInt(b));
  for (const [i, slice] of [...slices].reverse().entries())
    await cp(join(scan, slice), join(folder, 'later', 'test', 'test_ct_scan_99', slices[i]!));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const trainer = (args: string, run = 'r') =>
  runCommand(folder, [...args.split(' '), '--run', run, '--devices', 'cpu:1', '--volumes', 'volumes']);
const member = (file: string, run = 'r') => join(folder, run, 'members', 'one', file);

interface ProbabilityFile {
  scans: { name: string; probabilities: number[] }[];
}
const testScans = async () =>
  (JSON.parse(await probabilitiesOf(folder, 'r', 'one')) as ProbabilityFile).scans;

test('test scans that come after training are predicted, with the weights as they are', async () => {
  const kept = ['checkpoints/best.safetensors', 'done.json', 'config.json', 'probabilities/val.json'];
  const contents = () => Promise.all(kept.map((file) => readFile(member(file))));
  const [before, files] = [await testScans(), await contents()];
  expect(before).toHaveLength(2);
  const { code, output } = await trainer('predict --data later');
  expect(output).toMatch(/^test scans: test\/test_ct_scan_99 was added since the run was made/m);
  expect(output).toMatch(/^one: is trained; predicts the scans of test on cpu:1$/m);
  expect(code).toBe(0);
  const after = await testScans();
  expect(after.map(({ name }) => name)).toEqual([...before.map(({ name }) => name), 'test_ct_scan_99']);
  expect(await contents()).toEqual(files);
  for (const [i, { probabilities }] of before.entries())
    for (const [c, p] of probabilities.entries()) expect(after[i]!.probabilities[c]).toBeCloseTo(p, 5);
});

test('a file of probabilities that is missing or damaged is made again with the same bytes', async () => {
  const file = member('probabilities/val.json');
  const before = await readFile(file, 'utf8');
  for (const damage of [() => rm(file), () => writeFile(file, before.slice(0, 100))]) {
    await damage();
    const { output } = await trainer('predict'); // data and layout as in the plan
    expect(output).toMatch(/^one: is trained; predicts the scans of val on cpu:1$/m);
    expect(await readFile(file, 'utf8')).toBe(before);
  }
  expect((await trainer('predict')).output).toMatch(/^one: already done/m);
});

test('the same recipe with another member trains that one only', async () => {
  const text = recipeOf({ ...tiny, members: ['one', 'two'] }).replace('Small members', 'Two members');
  await writeFile(join(folder, 'two.yaml'), text);
  const { code, output } = await trainer('all-members --data later --recipe two.yaml');
  expect(output).toMatch(/^new in the recipe: two$/m);
  expect(output).toMatch(/^one: already done/m);
  expect(output).toMatch(/^two: epoch 1\/1/m);
  expect(code).toBe(0);
});

test('epochs that are added end with the bytes of a run that had them from the start', async () => {
  await writeFile(join(folder, 'more.yaml'), recipeOf({ ...tiny, epochs: 2 }));
  const { code, output } = await trainer('all-members --data later --recipe more.yaml');
  expect(output).toMatch(/^training\.epochs was 1 and is now 2: all members are trained on$/m);
  expect(output).toMatch(/^no longer in the recipe, kept in the run's folder and not used: two$/m);
  expect(output).toMatch(/^one: resumed from its checkpoint after epoch 1 of 2$/m);
  expect(code).toBe(0);
  expect(await trainer('all-members --data later --recipe more.yaml', 'straight')).toMatchObject({ code: 0 });
  for (const split of ['val', 'test'])
    expect(await readFile(member(`probabilities/${split}.json`), 'utf8')).toBe(
      await readFile(member(`probabilities/${split}.json`, 'straight'), 'utf8'),
    );
});

test('a trained member without its weights fails by the file', async () => {
  await cp(join(folder, 'straight'), join(folder, 'lost'), { recursive: true });
  await rm(member('checkpoints/best.safetensors', 'lost'));
  await rm(member('probabilities/test.json', 'lost'));
  const { code, output } = await trainer('predict', 'lost');
  expect(code).toBe(1);
  expect(output).toMatch(/FAILED {3}one: .*best\.safetensors: .*missing/);
});

test('a class whose training scans are all broken is refused before training', async () => {
  await cp(join(folder, 'data'), join(folder, 'broken'), { recursive: true });
  const covid = join(folder, 'broken', 'train', 'covid');
  for (const scan of await readdir(covid))
    for (const [i, slice] of (await readdir(join(covid, scan))).entries())
      await writeFile(join(covid, scan, slice), `broken ${scan} ${i}`);
  const { code, output } = await trainer('all-members --data broken --recipe tiny.yaml', 'none');
  expect(code).toBe(1);
  expect(output).toMatch(
    /broken: the class covid has no scan left in split train: none of its 4 scans could be prepared/,
  );
  expect(await readdir(join(folder, 'none')).catch(() => [])).not.toContain('plan.json');
  const without = await trainer('predict', 'none');
  expect(without.output).toMatch(/plan\.json is missing/);
});
