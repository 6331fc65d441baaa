// ONNX Runtime and PyTorch predict the test scans from what the command export wrote: the run's own probabilities come out.
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { unpack } from 'msgpackr';
import { evaluatorProgram, trainTiny } from '../testing/tiny-run.ts';

const script = fileURLToPath(new URL('../../fixtures/onnx-predictions.py', import.meta.url));
const python = process.env['CT_ENSEMBLE_TORCH_PYTHON'] ?? 'python3';
const has = (modules: string) =>
  promisify(execFile)(python, ['-c', `import ${modules}`]).then(
    () => true,
    () => false,
  );
const hasTorch = await has('torch, torchvision, safetensors');
const hasOnnx = await has('numpy, onnx, onnxruntime');
if (!hasTorch || !hasOnnx)
  console.log(
    `skipped: ${python} lacks torch, torchvision, safetensors, onnx or onnxruntime; CT_ENSEMBLE_TORCH_PYTHON names one that has them`,
  );

/** Greatest difference of a probability. */
const TOLERANCE = 1e-6;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-export-'));
  await trainTiny(folder);
  evaluator('submit', '--run', 'run');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}
const evaluator = (...args: string[]) => run(process.execPath, evaluatorProgram, ...args);

/** A test scan: its volume for each preparation, and the probabilities that the run has of it, [members][classes]. */
interface TestScan {
  key: string;
  volumes: string[];
  members: number[][];
}

async function testScans(): Promise<TestScan[]> {
  const groups = unpack(await readFile(join(folder, 'run', 'scans.msgpack'))) as {
    scans: { key: string; split: string; volume: string }[];
  }[];
  const rows = names.map((member) => {
    const file = join(folder, 'run', 'members', member, 'probabilities', 'test.json');
    return readFile(file, 'utf8').then((text) => JSON.parse(text).scans as { probabilities: number[] }[]);
  });
  const members = await Promise.all(rows);
  const volumes = groups.map(({ scans }) => scans.filter(({ split }) => split === 'test'));
  return volumes[0]!.map(({ key }, i) => ({
    key,
    volumes: volumes.map((scans) => join('volumes', `${scans[i]!.volume}.npy`)),
    members: members.map((scans) => scans[i]!.probabilities),
  }));
}

const names = ['one', 'two', 'masked'];
const weights = [0.5, 0.2, 0.3];
const temperature = 1.4;
const combination = ['--weights', weights.join(), '--temperature', String(temperature)];

/** By the definition: softmax(ln Σ wₘ·pₘ / T). */
function combined(members: number[][]): number[] {
  const cooled = [0, 1].map(
    (c) => members.reduce((sum, row, m) => sum + weights[m]! * row[c]!, 0) ** (1 / temperature),
  );
  return cooled.map((value) => value / (cooled[0]! + cooled[1]!));
}

const expectNear = (found: number[], expected: number[]) => {
  expect(found).toHaveLength(expected.length);
  found.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(TOLERANCE));
};

(hasOnnx ? test : test.skip)('ONNX Runtime', async () => {
  evaluator('export', '--run', 'run', '--out', 'all.onnx', ...combination);
  evaluator('export', '--run', 'run', '--out', 'both.onnx', '--submission', 'both');
  const table = (await readFile(join(folder, 'run', 'predictions', 'both.csv'), 'utf8')).split('\n');
  const scans = await testScans();
  expect(scans).toHaveLength(2);
  for (const { key, volumes, members } of scans) {
    const all = JSON.parse(run(python, script, 'all.onnx', ...volumes));
    expectNear(all.members.flat(), members.flat());
    expectNear(all.probabilities, combined(members));
    const { probabilities } = JSON.parse(run(python, script, 'both.onnx', volumes[0]!));
    const row = table.find((line) => line.startsWith(`${key},`))!.split(',');
    expectNear(probabilities, row.slice(5, 7).map(Number));
  }
});

(hasTorch ? test : test.skip)('PyTorch', async () => {
  evaluator('export', '--run', 'run', '--format', 'pytorch', '--out', 'torch', ...combination);
  for (const { volumes, members } of await testScans()) {
    const answer = JSON.parse(run(python, join('torch', 'predict.py'), ...volumes));
    expect(Object.keys(answer)).toEqual(['non-covid', 'covid']);
    expectNear(Object.values(answer), combined(members));
  }
  expect(() => run(python, join('torch', 'predict.py'))).toThrow(/give 2 files: volume-1, volume-2/);
});
