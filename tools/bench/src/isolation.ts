// bench:isolation: two members that train at once, in threads of one process and in processes of their own, in turn: start-up, memory,
// throughput. Each turn is a process of its own, which this program starts and whose memory it samples.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Isolation, isolations, openRecipe, prepareRun, trainMembers } from '@ct-ensemble/ensemble';
import { makePhantoms } from '@ct-ensemble/phantoms';
import { describeMachine } from './machine.ts';
import { median } from './statistics.ts';

const usage = `Usage: nx run bench:isolation -- [options]

  --architecture NAME  network of both members (default: resnext50_32x4d)
  --pairs N            turns of threads and processes (default: 3)
`;

const recipeOf = (architecture: string) => `
name: isolation
task: detection
description: Two members that train at once.
volume: { depth: 3, height: 224, width: 224 }
members:
  - { name: one, architecture: ${architecture}, seed: 1 }
  - { name: two, architecture: ${architecture}, seed: 2 }
training:
  epochs: 3
  batchSize: 4
  loss: { name: focal, gamma: 1.5 }
  optimizer: { name: adam }
  learningRate: [{ from: 0, rate: 0.0001 }]
  augmentation: none
submissions:
  - { name: all, members: [one, two] }
`;

/** What one turn measures by itself. Times are seconds. */
interface Turn {
  /** From the start of the members to the first step of the slower one. */
  start: number;
  /** Scans a second of both members together, in the steps after the first epoch. */
  throughput: number;
  /** From the start of the members to their end. */
  whole: number;
}

/** Bytes at their highest, of the coordinator and its children together. */
interface Memory {
  /** Sum of the resident set sizes: pages that processes share count several times. */
  rss: number;
  /** Sum of the proportional set sizes: shared pages count once. */
  pss: number;
}

/** Trains two members and prints a Turn as JSON. */
async function turn(folder: string, isolation: Isolation) {
  const run = join(folder, `${isolation}-${process.pid}`);
  const recipe = await openRecipe(join(folder, 'isolation.yaml'));
  const store = join(folder, 'volumes');
  const devices = 'cpu:1,cpu:1';
  const prepared = await prepareRun({ data: join(folder, 'data'), recipe, run, devices, engine: 'tensorflow', isolation, store }); // prettier-ignore
  console.error('training');
  const begun = performance.now();
  const since = () => (performance.now() - begun) / 1000;
  const first = new Map<string, number>();
  const steps = new Map<string, number[]>();
  const outcomes = await trainMembers({
    run,
    plan: prepared.plan,
    devices: prepared.devices,
    store,
    isolation,
    checkpointSeconds: 0,
    onEvent(event) {
      if (event.kind !== 'progress' || event.progress.kind !== 'step') return;
      const { epoch, seconds } = event.progress;
      if (!first.has(event.member)) first.set(event.member, since());
      if (epoch > 1) steps.set(event.member, [...(steps.get(event.member) ?? []), seconds]);
    },
  });
  for (const { status, reason } of outcomes) if (status !== 'done') throw new Error(reason ?? status);
  const result: Turn = {
    start: Math.max(...first.values()),
    throughput: [...steps.values()].reduce((sum, each) => sum + 4 / median(each), 0),
    whole: since(),
  };
  console.log(JSON.stringify(result));
}

/** Starts a turn in a process of its own and samples the memory of it and its children while the members train. */
async function measured(folder: string, isolation: Isolation): Promise<Turn & Memory> {
  const self = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [self, '--turn', isolation, '--folder', folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const memory: Memory = { rss: 0, pss: 0 };
  let output = '';
  let errors = '';
  let timer: NodeJS.Timeout | undefined;
  child.stdout.on('data', (piece: Buffer) => (output += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => {
    errors += piece.toString();
    if (/^training$/m.test(errors))
      timer ??= setInterval(() => {
        const now = familyOf(child.pid!).map(memoryOf);
        for (const kind of ['rss', 'pss'] as const)
          memory[kind] = Math.max(memory[kind], now.reduce((sum, each) => sum + each[kind], 0)); // prettier-ignore
      }, 250);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  clearInterval(timer);
  if (code !== 0) throw new Error(errors);
  return { ...(JSON.parse(output) as Turn), ...memory };
}

/** The process and its children. */
function familyOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return [pid, ...text.trim().split(' ').filter(Boolean).map(Number)];
  } catch {
    return []; // It has ended.
  }
}

function memoryOf(pid: number): Memory {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    const bytes = (name: string) =>
      1024 * Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0);
    return { rss: bytes('Rss'), pss: bytes('Pss') };
  } catch {
    return { rss: 0, pss: 0 };
  }
}

async function main() {
  const { values } = parseArgs({
    options: {
      architecture: { type: 'string', default: 'resnext50_32x4d' },
      pairs: { type: 'string', default: '3' },
      turn: { type: 'string' },
      folder: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return console.log(usage);
  if (values.turn) return turn(values.folder!, values.turn as Isolation);
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-isolation-'));
  try {
    const ofEach = (scans: number) => ({ covid: scans, 'non-covid': scans });
    const counts = { train: ofEach(12), val: ofEach(2), test: ofEach(1) };
    await makePhantoms({ folder: join(folder, 'data'), seed: 1, size: 256, counts });
    await writeFile(join(folder, 'isolation.yaml'), recipeOf(values.architecture));
    const turns = new Map<Isolation, (Turn & Memory)[]>(isolations.map((each) => [each, []]));
    for (let pair = 0; pair < Number(values.pairs); pair++)
      for (const isolation of pair % 2 === 0 ? isolations : isolations.toReversed()) {
        const result = await measured(folder, isolation);
        turns.get(isolation)!.push(result);
        console.error(`${isolation}: ${JSON.stringify(result)}`);
      }
    const { cpu, cores } = await describeMachine();
    console.log(`${values.architecture}, batch 4, two members on cpu:1,cpu:1; ${cpu}, ${cores} cores\n`);
    console.log('| members in | first step of both after | peak RSS | peak PSS | scans/s | whole |');
    console.log('| ---------- | ------------------------ | -------- | -------- | ------- | ----- |');
    for (const [isolation, results] of turns) {
      const of = (kind: keyof (Turn & Memory)) => median(results.map((result) => result[kind]));
      const gb = (kind: 'rss' | 'pss') => `${(of(kind) / 1e9).toFixed(2)} GB`;
      console.log(
        `| ${isolation} | ${of('start').toFixed(1)} s | ${gb('rss')} | ${gb('pss')} | ${of('throughput').toFixed(2)} | ${of('whole').toFixed(1)} s |`,
      );
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
