// bench:predict: times the answer for one scan of an ensemble: this project in turn with PyTorch (eager and compiled) and with ONNX
// Runtime on the exported ensemble. Every side is a process that reads and prepares the slices and asks all members.
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf, UserError, writeFileAtomic } from '@ct-ensemble/core';
import { openEngine } from '@ct-ensemble/engine';
import { buildModel, graphOfWeights, onnxEnsemble, saveWeights } from '@ct-ensemble/models';
import { makePhantoms } from '@ct-ensemble/phantoms';
import { describeMachine } from './machine.ts';
import { type PredictRun, predictReport } from './predict-report.ts';
import type { PredictAnswer, PredictSettings } from './predict-settings.ts';
import { startPredictSide } from './predict-sides.ts';

const usage = `Usage: nx run bench:predict -- [options]

  --data DIR           folder of JPEG slices K.jpg of one scan (default: a phantom scan of 512 × 512 is made)
  --slices N           slices of the scan; those of the folder are used again if it has fewer (default: 150)
  --python PATH        a Python that has torch, torchvision, safetensors, onnxruntime, cv2 and PIL (default: python3)
  --sides LIST         peers: pytorch,pytorch-compiled,onnx (default: all)
  --architecture NAME  network of all members (default: densenet161)
  --members N          number of members (default: 3)
  --depth N, --size N  the volume (default: 64 slices of 224 × 224)
  --threads N          threads of each side (default: 2)
  --rounds N           timed answers of each side, in turn (default: 10)
  --starts N           timed starts of each side, in turn; PyTorch compiled starts once (default: 2)
`;

const CLASSES = 2;
/** Greatest difference of a probability between two sides whose volumes are equal. */
const TOLERANCE = 1e-4;

type Side = PredictSettings['side'];
const peers: readonly Side[] = ['pytorch', 'pytorch-compiled', 'onnx'];

interface Options {
  data: string | undefined;
  slices: number;
  python: string;
  sides: readonly Side[];
  architecture: string;
  members: number;
  depth: number;
  size: number;
  threads: number;
  rounds: number;
  starts: number;
}

/** The files of the slices in a folder, by number, repeated until there are `count`. */
async function slicesIn(folder: string, count: number): Promise<string[]> {
  const files = (await readdir(folder)).filter((name) => /^\d+\.jpg$/.test(name));
  if (files.length === 0) throw new UserError('holds no slices K.jpg', { file: folder });
  files.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  return Array.from({ length: count }, (_, i) => resolve(folder, files[i % files.length]!));
}

/** The folder of a phantom scan of 512 × 512, which is made if it does not exist. */
async function phantomScan(): Promise<string> {
  const folder = resolve('datasets', 'bench-predict');
  const none = { covid: 0, 'non-covid': 0 };
  const one = { covid: 1, 'non-covid': 0 };
  if (!existsSync(join(folder, 'phantoms.json'))) console.log(`Making a phantom scan in ${folder}`);
  await makePhantoms({ folder, seed: 1, counts: { train: one, val: none, test: none }, size: 512 });
  return join(folder, 'train', 'covid', 'ct_scan_0');
}

/** Writes the weights of the members, and the ensemble as ONNX. The weights are the same for all, which changes no time. */
async function writeMembers(folder: string, options: Options) {
  const { architecture, members, depth, size } = options;
  const file = join(folder, 'member.safetensors');
  const engine = await openEngine();
  const { parameters } = buildModel(architecture, { views: [depth], classes: CLASSES, seed: 1 });
  await saveWeights(parameters, file);
  engine.close();
  const onnx = join(folder, 'ensemble.onnx');
  const network = { architecture, views: [depth], classes: CLASSES, size: [size, size] as const };
  const part = { input: 'volume', ...(await graphOfWeights(file, network)) };
  const networks = Array.from({ length: members }, (_, i) => ({ name: `member-${i + 1}`, ...part }));
  await writeFileAtomic(onnx, [onnxEnsemble({ members: networks, name: 'bench', metadata: {} })]);
  return { weights: networks.map(() => file), onnx };
}

/** @throws {UserError} if a side's volume or probabilities are not those of this project. */
function requireSame(own: PredictAnswer, { side, answer }: { side: Side; answer: PredictAnswer }) {
  // Decoders of JPEG may differ by a grey value here and there.
  const far = Math.max(...own.probabilities.map((value, i) => Math.abs(value - answer.probabilities[i]!)));
  if (Math.abs(own.mean - answer.mean) < 0.01 && far < TOLERANCE) return;
  throw new UserError(
    `${side} computes [${answer.probabilities.join(', ')}] from a volume of mean ${answer.mean}, this project [${own.probabilities.join(', ')}] from one of mean ${own.mean}`,
  );
}

async function bench(options: Options) {
  const { python, rounds, starts, depth, size, threads } = options;
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-bench-predict-'));
  try {
    const slices = await slicesIn(options.data ?? (await phantomScan()), options.slices);
    const files = await writeMembers(folder, options);
    const { architecture } = options;
    const settings = { architecture, ...files, slices, depth, size, classes: CLASSES, threads };
    const names: readonly Side[] = ['own', ...options.sides];
    const runs = new Map<Side, PredictRun>(names.map((name) => [name, { starts: [], answers: [] }]));
    const open = async (side: Side) => {
      const process = await startPredictSide({ ...settings, side }, python);
      runs.get(side)!.starts.push({ seconds: process.seconds, cpu: process.first.cpu });
      return process;
    };
    const restarted = names.filter((side) => side !== 'pytorch-compiled'); // it compiles for a minute or more
    for (let i = 1; i < starts; i++) for (const side of restarted) await (await open(side)).close();
    const sides = new Map<Side, Awaited<ReturnType<typeof open>>>();
    try {
      for (const side of names) sides.set(side, await open(side));
      const own = sides.get('own')!.first;
      for (const [side, { first }] of sides) requireSame(own, { side, answer: first });
      for (const side of sides.values()) await side.ask(); // not timed
      for (let round = 0; round < rounds; round++)
        for (const [i] of names.entries()) {
          const side = names[(i + round) % names.length]!;
          runs.get(side)!.answers.push(await sides.get(side)!.ask());
        }
    } finally {
      for (const side of sides.values()) await side.close();
    }
    const { cpu, cores } = await describeMachine();
    console.log(
      `${options.members} × ${options.architecture}, volume ${depth}×${size}×${size} of ${slices.length} slices; ${threads} threads; ${cpu}, ${cores} cores`,
    );
    console.log(predictReport(runs));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

try {
  const { values } = parseArgs({
    options: {
      data: { type: 'string' },
      slices: { type: 'string', default: '150' },
      python: { type: 'string', default: 'python3' },
      sides: { type: 'string', default: peers.join(',') },
      architecture: { type: 'string', default: 'densenet161' },
      members: { type: 'string', default: '3' },
      depth: { type: 'string', default: '64' },
      size: { type: 'string', default: '224' },
      threads: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '10' },
      starts: { type: 'string', default: '2' },
      help: { type: 'boolean' },
    },
  });
  const count = (name: 'slices' | 'members' | 'depth' | 'size' | 'threads' | 'rounds' | 'starts') => {
    const value = Number(values[name]);
    if (Number.isSafeInteger(value) && value > 0) return value;
    throw new UserError(`--${name} ${values[name]} is not a whole number above 0`);
  };
  const sides = values.sides.split(',').filter(Boolean) as Side[];
  const unknown = sides.find((side) => !peers.includes(side));
  if (unknown !== undefined)
    throw new UserError(`there is no side ${unknown}`, { remedy: `choose of ${peers.join(', ')}` });
  if (values.help) console.log(usage);
  else
    await bench({
      data: values.data,
      python: values.python,
      sides,
      architecture: values.architecture,
      slices: count('slices'),
      members: count('members'),
      depth: count('depth'),
      size: count('size'),
      threads: count('threads'),
      rounds: count('rounds'),
      starts: count('starts'),
    });
} catch (error) {
  console.error(error instanceof UserError ? `error: ${messageOf(error)}` : error);
  process.exitCode = 1;
}
