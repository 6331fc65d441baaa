// The command predict, and what is refused before training.
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { probabilitiesOf } from '../testing/train.ts';
import { trainedRun } from '../testing/trained-run.ts';

let { folder, trainer, member } = {} as Awaited<ReturnType<typeof trainedRun>>;
beforeAll(async () => {
  ({ folder, trainer, member } = await trainedRun());
});
afterAll(() => rm(folder, { recursive: true, force: true }));

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

test('--tta flips writes probabilities of its own beside the plain ones, which stay', async () => {
  const files = ['val', 'test'].map((split) => member(`probabilities/${split}.json`));
  const plain = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  const { code, output } = await trainer('predict --tta flips');
  expect(output).toMatch(
    /^one: is trained; predicts with test-time augmentation the scans of val and test on cpu:1$/m,
  );
  expect(code).toBe(0);
  expect(await Promise.all(files.map((file) => readFile(file, 'utf8')))).toEqual(plain);
  const made = JSON.parse(await readFile(member('probabilities/val.tta.json'), 'utf8')) as ProbabilityFile;
  const before = JSON.parse(plain[0]!) as ProbabilityFile;
  expect(made.scans.map(({ name }) => name)).toEqual(before.scans.map(({ name }) => name));
  // This network answers all scans alike, so that mirrored volumes get the same probabilities.
  expect(made.scans).toEqual(before.scans);
  expect((await trainer('predict --tta flips')).output).toMatch(/^one: already done/m);
});

test('--tta slices:2 prepares a further draw of the predicted scans and takes the mean of both', async () => {
  await cp(join(folder, 'r'), join(folder, 'drawn'), { recursive: true });
  const inStore = async () => {
    const files = await readdir(join(folder, 'volumes'));
    return new Set(files.filter((file) => /^[0-9a-f]{64}\.json$/.test(file)));
  };
  const plainVolumes = await inStore();
  const { code, output } = await trainer('predict --tta slices:2', 'drawn');
  expect(output).toMatch(/^Preparing volumes of 1 further draw of slices: 7\/7$/m);
  expect(output).toMatch(/^one: is trained; predicts with test-time augmentation the scans of val and test/m);
  expect(code).toBe(0);
  const made = [...(await inStore())].filter((file) => !plainVolumes.has(file));
  expect(made).toHaveLength(7); // 4 for validation, 3 for test; none for training
  for (const file of made) {
    const record = JSON.parse(await readFile(join(folder, 'volumes', file), 'utf8')) as {
      preparation: { draw: unknown };
      slices: number;
      dropped: number[];
      sources: number[];
    };
    expect(record.preparation.draw).toEqual({ index: 1, of: 2 });
    expect(record.dropped).toEqual([]);
    // The middles of eighths of the scan.
    expect(record.sources).toEqual(
      Array.from({ length: 8 }, (_, i) => Math.floor(((2 * i + 1) * record.slices) / 16)),
    );
  }
  const read = async (file: string) =>
    JSON.parse(await readFile(member(file, 'drawn'), 'utf8')) as ProbabilityFile & { augmentation?: string };
  for (const split of ['val', 'test']) {
    const [augmented, plain] = [
      await read(`probabilities/${split}.tta.json`),
      await read(`probabilities/${split}.json`),
    ];
    expect([augmented.augmentation, plain.augmentation]).toEqual(['slices:2', undefined]);
    expect(augmented.scans.map(({ name }) => name)).toEqual(plain.scans.map(({ name }) => name));
  }
  expect((await trainer('predict --tta slices:2', 'drawn')).output).toMatch(/^one: already done/m);
  const both = await trainer('predict --tta slices:2,flips', 'drawn');
  expect(both.output).toMatch(/predicts with test-time augmentation the scans of val and test/);
  expect((await read('probabilities/val.tta.json')).augmentation).toBe('flips,slices:2');
  expect((await trainer('predict --tta slices:9', 'drawn')).output).toMatch(/must be from 2 to 8/);
});

test('a run made with --values is completed with the same --values and is refused without', async () => {
  const values = '--values window:-1000,400';
  const made = await trainer(`all-members --data data --recipe tiny.yaml ${values}`, 'windowed');
  expect(made).toMatchObject({ code: 0 });
  const file = member('probabilities/test.json', 'windowed');
  const before = await readFile(file, 'utf8');
  expect(before).not.toBe(await readFile(member('probabilities/test.json'), 'utf8'));
  await rm(file);
  const without = await trainer('predict', 'windowed');
  expect(without.code).toBe(1);
  expect(without.output).toMatch(
    /made with other scans .* --filter, --masks and --values as when the run was made/,
  );
  const { code, output } = await trainer(`predict ${values} --scan-deadline 500`, 'windowed');
  expect(output).toMatch(/^one: is trained; predicts the scans of test on cpu:1$/m);
  expect(code).toBe(0);
  expect(await readFile(file, 'utf8')).toBe(before);
});

test('a trained member without its weights fails by the file', async () => {
  await cp(join(folder, 'r'), join(folder, 'lost'), { recursive: true });
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
