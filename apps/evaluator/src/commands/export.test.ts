// The command export: what it writes and what it refuses. export.slow.test.ts lets ONNX Runtime and PyTorch predict.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evaluatorProgram, trainTiny } from '../testing/tiny-run.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-export-'));
  await trainTiny(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const exported = (...args: string[]) =>
  spawnSync(process.execPath, [evaluatorProgram, 'export', '--run', 'run', ...args], {
    cwd: folder,
    encoding: 'utf8',
  });

test('one ONNX file: an input for each preparation, the members, the combination; the same bytes again', async () => {
  const first = exported('--out', 'a.onnx', '--weights', '0.7,0.2,0.1', '--temperature', '1.5');
  expect(first).toMatchObject({ status: 0, stderr: '' });
  expect(first.stdout).toMatch(
    /^a\.onnx: 0\.7 one \+ 0\.2 two \+ 0\.1 masked, temperature 1\.5, 0\.\d MB\n {2}input volume-1: uint8 \[batch, 8, 16, 16\]\n {2}input volume-2: uint8 \[batch, 8, 16, 16\]\n$/,
  );
  const bytes = await readFile(join(folder, 'a.onnx'));
  for (const part of ['one/encoder1.weight', 'masked/probabilities', '["non-covid","covid"]', '"dilate":3'])
    expect(bytes.includes(part)).toBe(true);
  exported('--out', 'b.onnx', '--weights', '0.7,0.2,0.1', '--temperature', '1.5');
  expect((await readFile(join(folder, 'b.onnx'))).equals(bytes)).toBe(true);
});

test('the members of a submission, and a single one', () => {
  expect(exported('--submission', 'both').stdout).toMatch(
    /^ensemble\.onnx: mean of one, two, .*\n {2}input volume: /,
  );
  expect(exported('--single', 'masked').stdout).toMatch(/^ensemble\.onnx: masked, .*\n {2}input volume: /);
});

test('a folder for PyTorch', async () => {
  expect(exported('--format', 'pytorch', '--submission', 'both')).toMatchObject({
    status: 0,
    stdout: 'ensemble-pytorch: mean of one, two\n',
  });
  const files = readdirSync(join(folder, 'ensemble-pytorch')).sort();
  expect(files).toEqual(['ensemble.json', 'one.safetensors', 'predict.py', 'two.safetensors']);
  const about = JSON.parse(await readFile(join(folder, 'ensemble-pytorch', 'ensemble.json'), 'utf8'));
  expect(about).toMatchObject({
    classes: ['non-covid', 'covid'],
    members: [
      { name: 'one', architecture: 'densenet_small', views: [8], input: 'volume', weight: 0.5 },
      { name: 'two', weight: 0.5 },
    ],
    inputs: [{ name: 'volume', volume: [8, 16, 16] }],
    temperature: null,
  });
  const again = exported('--format', 'pytorch');
  expect(again).toMatchObject({ status: 1 });
  expect(again.stderr).toBe('error: ensemble-pytorch: the folder is not empty → name another with --out\n');
});

test.each([
  [['--submission', 'bth'], /there is no submission "bth" \(did you mean "both"\?\) → choose one of both/],
  [['--single', 'three'], /there is no member "three".* → choose one of one, two, masked/],
  [['--weights', '0.5,0.5'], /the weights 0\.5, 0\.5 do not fit the 3 members → give one number for each of one, two, masked/],
  [['--weights', '0.5,0.6,-0.1'], /the weights .* do not fit/],
  [['--weights', '0.5,x,0'], /give a number/],
  [['--temperature', '0'], /the temperature 0 is not a number above 0/],
  [['--submission', 'both', '--single', 'one'], /cannot be used with/],
])('refuses %j', (args, problem) => {
  const { status, stderr } = exported('--out', 'refused.onnx', ...args);
  expect(status).toBe(1);
  expect(stderr).toMatch(problem);
  expect(readdirSync(folder)).not.toContain('refused.onnx');
}); // prettier-ignore

test('weights that are not those of the training, and a member that is not trained', async () => {
  await rm(join(folder, 'run', 'members', 'masked', 'done.json'));
  expect(exported().stderr).toMatch(
    /^error: run: the member masked is not trained yet → nx run trainer:all-members/,
  );
  const best = join('run', 'members', 'one', 'checkpoints', 'best.safetensors');
  await rm(join(folder, best));
  expect(exported('--single', 'one').stderr).toMatch(/best\.safetensors: is missing/);
});
