// bench:preparation: times the preparation without networks, `prepareDataset` in turn with the authors' Python code on the same
// JPEG slices. Reports the median of the pairs' ratios in slices per second, above 1 if this project is faster.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { messageOf, UserError } from '@ct-ensemble/core';
import { openVolumeStore, prepareDataset, type Preparation, type ScanEntry } from '@ct-ensemble/data';
import { pythonEnvironment } from '@ct-ensemble/engine';
import { loadRecipe, preparationsOf } from '@ct-ensemble/ensemble';
import { makePhantoms } from '@ct-ensemble/phantoms';
import { describeMachine } from './machine.ts';
import { median, quantile } from './statistics.ts';

const usage = `Usage: nx run bench:preparation -- [options]

  --data DIR     folder that holds folders of JPEG slices of 512 × 512 (default: eight phantom scans are made)
  --python PATH  a Python that has torchvision, albumentations and opencv (default: python3)
  --pairs N      timed turns of each side (default: 5)
  --repeat N     uses each scan N times, with its slices in rotated order, to reduce the weight of start-up (default: 4)
`;

const tasks = { detection: 'detection-paper', severity: 'severity-paper' } as const;

/** Starts the authors' code in Python. Each request and each answer is one line of JSON. */
function authors(python: string) {
  const script = fileURLToPath(new URL('../authors-preparation.py', import.meta.url));
  const child = spawn(python, [script], { env: pythonEnvironment(), stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  child.on('error', () => undefined); // reported by prepare(), which then gets no answer
  child.stdin.on('error', () => undefined);
  return {
    async prepare(task: string, scans: readonly ScanEntry[]): Promise<number> {
      child.stdin.write(`${JSON.stringify({ task, scans: scans.map(({ slices }) => slices) })}\n`);
      const { value, done } = await lines.next();
      if (done)
        throw new UserError(`${python} did not answer`, {
          remedy: 'name a Python with torchvision, albumentations and opencv-python-headless: --python PATH',
        });
      return (JSON.parse(value) as { seconds: number }).seconds;
    },
    close: () => child.stdin.end(),
  };
}

/** The folders of JPEG slices below a folder, as scans; each `repeat` times with its slices in rotated order. */
async function scansIn(folder: string, repeat: number): Promise<ScanEntry[]> {
  const byFolder = new Map<string, string[]>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!/^\d+\.jpg$/.test(entry.name)) continue;
    const slices = byFolder.get(entry.parentPath) ?? [];
    slices.push(join(entry.parentPath, entry.name));
    byFolder.set(entry.parentPath, slices);
  }
  return [...byFolder.values()].flatMap((slices, i) => {
    slices.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
    return Array.from({ length: repeat }, (_, k): ScanEntry => {
      const rotated = [...slices.slice(k), ...slices.slice(0, k)];
      const name = `ct_scan_${i}_${k}`;
      const rest = { split: 'test', name, label: null, patient: null, group: null, failure: null } as const;
      return { key: `test/${name}`, format: 'images', slices: rotated, ...rest };
    });
  });
}

/** Seconds of a first run with an empty store, and of a second run that finds all volumes in it. */
async function ours(scans: readonly ScanEntry[], preparations: readonly Preparation[]) {
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-bench-store-'));
  try {
    const store = openVolumeStore(folder);
    const run = async () => {
      const start = performance.now();
      await prepareDataset({ index: { scans }, preparations, store });
      return (performance.now() - start) / 1000;
    };
    return { first: await run(), second: await run() };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function bench(options: { data: string; python: string; pairs: number; repeat: number }) {
  const { data, python, pairs, repeat } = options;
  const scans = await scansIn(data, repeat);
  const slices = scans.reduce((sum, scan) => sum + scan.slices.length, 0);
  if (slices === 0) throw new UserError('holds no folder of slices K.jpg', { file: data });
  const { cpu, cores } = await describeMachine();
  console.log(`${cpu}, ${cores} cores; ${scans.length} scans, ${slices} slices`);
  const theirs = authors(python);
  try {
    for (const [task, recipe] of Object.entries(tasks)) {
      const preparations = preparationsOf(await loadRecipe(recipe)).map(({ preparation }) => preparation);
      const ratios: number[] = [];
      const times: { here: number; second: number; peer: number }[] = [];
      await ours(scans.slice(0, 1), preparations); // warm-up of both sides
      await theirs.prepare(task, scans.slice(0, 1));
      for (let pair = 0; pair < pairs; pair++) {
        const peer = await theirs.prepare(task, scans);
        const { first, second } = await ours(scans, preparations);
        times.push({ here: first, second, peer });
        ratios.push(peer / first);
      }
      const rate = (side: 'here' | 'peer') => (slices / median(times.map((time) => time[side]))).toFixed(0);
      const quartiles = [0.25, 0.75].map((share) => quantile(ratios, share).toFixed(1)).join('–');
      const second = (median(times.map((time) => time.second)) * 1000).toFixed(0);
      console.log(
        `${recipe}: ${rate('here')} slices/s here, ${rate('peer')} there, ratio ${median(ratios).toFixed(1)} (${quartiles}); ` +
          `a second run takes ${second} ms`,
      );
    }
    console.log(`peak RSS here ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`);
  } finally {
    theirs.close();
  }
}

/** The folder of eight phantom scans of 512 × 512, which are made if they do not exist. */
async function phantoms(): Promise<string> {
  const folder = resolve('datasets', 'bench-512');
  if (!existsSync(join(folder, 'phantoms.json'))) console.log(`Making phantom scans in ${folder}`);
  const two = { covid: 1, 'non-covid': 1 };
  const counts = { train: { covid: 2, 'non-covid': 2 }, val: two, test: two };
  await makePhantoms({ folder, seed: 1, counts, size: 512 });
  return folder;
}

try {
  const { values } = parseArgs({
    options: {
      data: { type: 'string' },
      python: { type: 'string', default: 'python3' },
      pairs: { type: 'string', default: '5' },
      repeat: { type: 'string', default: '4' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) console.log(usage);
  else
    await bench({
      data: values.data ?? (await phantoms()),
      python: values.python,
      pairs: Number(values.pairs),
      repeat: Number(values.repeat),
    });
} catch (error) {
  console.error(error instanceof UserError ? `error: ${messageOf(error)}` : error);
  process.exitCode = 1;
}
