// Answers of an ensemble file: equal bytes everywhere, files that are continued, pages, half precision, errors.
import { appendFile, cp, mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { linesOf, packedRun } from './packed-run.fixture.ts';

let run: Awaited<ReturnType<typeof packedRun>>;
beforeAll(async () => {
  run = await packedRun();
});
afterAll(() => run.remove());

test('another folder, locale and time zone give equal bytes; the answers of single scans do not depend on others', async () => {
  const { evaluator, predict, predictArgs } = run;
  const all = predict('data/test', 'data/validation', '--json');
  const other = join(run.folder, 'elsewhere');
  await mkdir(other);
  await cp(join(run.folder, 'data'), join(other, 'data'), { recursive: true });
  await cp(join(run.folder, 'a.ctens'), join(other, 'a.ctens'));
  const env = { LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8', TZ: 'Asia/Kathmandu' };
  const moved = evaluator(predictArgs('data/test', 'data/validation', '--json'), { cwd: other, env });
  expect(moved.stdout).toBe(all.stdout);
  const [first] = linesOf(all.stdout);
  const [alone] = linesOf(predict(first!.scan, '--json').stdout);
  expect(alone).toEqual(first);
});

test('an output file that was cut is continued, and is then as if it had not been', async () => {
  const { evaluator, pack, predict, read } = run;
  const args = ['data/test', 'data/validation', 'nowhere', '--csv', 'a.csv', '--jsonl', 'a.jsonl'];
  expect(predict(...args).status).toBe(1);
  const whole = { csv: await read('a.csv'), jsonl: await read('a.jsonl') };
  expect(whole.csv.trimEnd().split('\n')).toHaveLength(1 + linesOf(whole.jsonl).length);
  // As after kill -9 in the third line.
  const third = whole.csv.split('\n').slice(0, 3).join('\n').length;
  await truncate(join(run.folder, 'a.csv'), third - 10);
  const again = predict(...args);
  expect(again.stderr).toMatch(/a\.csv: the last line was not complete/);
  expect(again.stderr).toMatch(/1 of \d+ scans are answered already/);
  expect(await read('a.csv')).toBe(whole.csv);
  expect(await read('a.jsonl')).toBe(whole.jsonl);
  const unchanged = predict(...args);
  expect(unchanged.stdout).toMatch(/1\/1 {2}nowhere/);
  // Changed files are computed again.
  const [scan] = await readdir(join(run.folder, 'data/test'));
  const slice = join(run.folder, 'data/test', scan!, '3.jpg');
  const before = await readFile(slice);
  await appendFile(slice, 'x');
  const changed = predict('data/test', '--csv', 'a.csv');
  expect(changed.stdout).toMatch(new RegExp(`1/1 +data/test/${scan}`));
  await writeFile(slice, before);
  // A file of another ensemble is not continued.
  expect(pack('--out', 'first.ctens', '--submission', 'first')).toMatchObject({ status: 0 });
  const other = evaluator([
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
  const { predict, read } = run;
  const name = '<b>&"x';
  const [scan] = await readdir(join(run.folder, 'data/test'));
  await cp(join(run.folder, 'data/test', scan!), join(run.folder, 'named', name), { recursive: true });
  expect(predict('named', '--pages', 'pages').status).toBe(0);
  const [page] = await readdir(join(run.folder, 'pages'));
  const html = await read(join('pages', page!));
  expect(html).toContain('named/&lt;b&gt;&amp;&quot;x');
  expect(html).not.toContain('<b>&"x');
  expect(html).toMatch(/<img alt="slices of the prepared volume" src="data:image\/png;base64,iVBOR/);
  expect(html).not.toMatch(/(src|href)="(?!data:)/);
});

test('float16: half the weights, and the difference on the validation scans is written in', async () => {
  const { evaluator, pack } = run;
  const packed = pack('--out', 'half.ctens', '--float16', '--device', 'cpu:1');
  expect(packed.status).toBe(0);
  expect(packed.stdout).toMatch(/float16: probabilities of members differ by \d\.\de-\d at most on 4 scans/);
  const [full, half] = [
    (await readFile(join(run.folder, 'a.ctens'))).length,
    (await readFile(join(run.folder, 'half.ctens'))).length,
  ];
  expect(half).toBeLessThan(0.75 * full);
  const ask = (model: string) =>
    linesOf(
      evaluator(['predict', '--model', model, '--device', 'cpu:1', 'data/validation', '--json']).stdout,
    );
  const [exact, rounded] = [ask('a.ctens'), ask('half.ctens')];
  const differences = exact.map(({ probabilities }, i) =>
    Math.abs(probabilities[0]! - rounded[i]!.probabilities[0]!),
  );
  expect(Math.max(...differences)).toBeGreaterThan(0);
  expect(Math.max(...differences)).toBeLessThan(1e-3);
});

test('what cannot be packed is named', () => {
  const { evaluator, pack } = run;
  expect(pack('--out', 'x.ctens', '--submission', 'frst').stderr).toMatch(
    /has no submission frst \(did you mean "first"\?\)/,
  );
  expect(pack('--out', 'x.ctens', '--filter', 'f.safetensors').stderr).toMatch(
    /without this network → leave it out/,
  );
  const elsewhere = evaluator(['pack', '--run', 'run', '--volumes', 'none', '--out', 'x.ctens']);
  expect(elsewhere.stderr).toMatch(/the volumes of this run are needed and are not in the store/);
});
