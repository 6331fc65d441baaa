// bench:readers: times the DICOM reader in turn with pydicom on the same series in each transfer syntax. Reports the median of
// the turns' ratios, above 1 if this project is faster.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { messageOf, UserError } from '@ct-ensemble/core';
import { pythonEnvironment } from '@ct-ensemble/engine';
import { describeMachine } from './machine.ts';
import { readersTable, type ReaderRow, type ReaderTurn } from './readers-report.ts';
import type { ReaderAnswer, ReaderRequest } from './readers-worker.ts';

const usage = `Usage: nx run bench:readers -- [options]

  --python PATH    a Python that has pydicom and its plug-ins; see the remedy of its error (default: python3)
  --syntaxes LIST  names of transfer syntaxes, separated by commas (default: all)
  --slices N       slices of a series (default: 500)
  --images N       different images among them; the others are repetitions (default: 50)
  --size N         edge of a slice in pixels (default: 512)
  --turns N        timed turns of each side (default: 3)
  --workers N      series that this project reads at the same time, in a worker thread each (default: the number of cores)
`;

const REMEDY =
  'name a Python that has them with --python PATH: pip install pydicom pillow pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pylibjpeg-rle python-gdcm pyjpegls imagecodecs';

/** Names and UIDs of the transfer syntaxes. */
const syntaxes: Readonly<Record<string, string>> = {
  implicit: '1.2.840.10008.1.2',
  explicit: '1.2.840.10008.1.2.1',
  'big-endian': '1.2.840.10008.1.2.2',
  deflated: '1.2.840.10008.1.2.1.99',
  rle: '1.2.840.10008.1.2.5',
  'jpeg-baseline': '1.2.840.10008.1.2.4.50',
  'jpeg-lossless': '1.2.840.10008.1.2.4.70',
  'jpeg-ls': '1.2.840.10008.1.2.4.80',
  'jpeg-2000': '1.2.840.10008.1.2.4.90',
  htj2k: '1.2.840.10008.1.2.4.201',
};

interface Cost {
  seconds: number;
  cpu: number;
}

/** Starts the peer in Python. Each request and each answer is one line of JSON. */
function openPydicom(python: string) {
  const script = fileURLToPath(new URL('../dicom-readers.py', import.meta.url));
  const child = spawn(python, [script], { env: pythonEnvironment(), stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  child.on('error', () => undefined); // reported by ask(), which then gets no answer
  child.stdin.on('error', () => undefined);
  return {
    async ask<Answer>(request: object): Promise<Answer> {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const { value, done } = await lines.next();
      if (done) throw new UserError(`${python} did not answer`, { remedy: REMEDY });
      return JSON.parse(value) as Answer;
    },
    close: () => child.stdin.end(),
  };
}

/** Starts a worker thread that reads series. */
function openReader() {
  const worker = new Worker(new URL('./readers-worker.js', import.meta.url));
  return {
    async ask<Answer>(request: ReaderRequest): Promise<Answer> {
      const answer = await new Promise<ReaderAnswer>((resolve, reject) => {
        worker.once('message', resolve).once('error', reject);
        worker.postMessage(request);
      });
      worker.removeAllListeners('error');
      if ('problem' in answer) throw new Error(answer.problem);
      return answer as Answer;
    },
    close: () => worker.terminate(),
  };
}

/** Wall time, and CPU seconds of all threads of this process. */
async function timed(work: () => Promise<unknown>): Promise<Cost> {
  const [start, before] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - start) / 1000, cpu: (user + system) / 1e6 };
}

interface Options {
  python: string;
  names: readonly string[];
  slices: number;
  images: number;
  size: number;
  turns: number;
  workers: number;
}

async function bench(options: Options) {
  const { names, slices, images, size, workers } = options;
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-bench-readers-'));
  const peer = openPydicom(options.python);
  const readers = Array.from({ length: workers }, openReader);
  try {
    const versions = await peer.ask<object>({ about: true });
    const { cpu, cores } = await describeMachine();
    console.log(`${cpu}, ${cores} cores; Node ${process.version}; ${JSON.stringify(versions)}`);
    console.log(`series of ${slices} slices of ${size} × ${size}, ${images} of them different`);
    const rows: ReaderRow[] = [];
    for (const name of names) {
      const at = join(folder, name);
      const make = { folder: at, syntax: syntaxes[name]!, slices, images, size };
      const made = await peer.ask<{ bytes: number } | { problem: string }>({ make });
      if ('problem' in made) {
        console.log(`${name}: left out, the series cannot be written: ${made.problem}`);
        continue;
      }
      const row = await measure(at, { ...options, peer, readers });
      rows.push({ name, megabytes: made.bytes / 1e6, ...row });
      console.log(JSON.stringify(rows.at(-1)));
      await rm(at, { recursive: true });
    }
    console.log(readersTable(rows, workers));
  } finally {
    peer.close();
    await Promise.all(readers.map((reader) => reader.close()));
    await rm(folder, { recursive: true, force: true });
  }
}

/** Turns of both sides on one series. @throws if they read different pixels. */
async function measure(
  folder: string,
  {
    turns,
    peer,
    readers,
  }: Options & {
    peer: ReturnType<typeof openPydicom>;
    readers: readonly ReturnType<typeof openReader>[];
  },
): Promise<Pick<ReaderRow, 'plugin' | 'turns'>> {
  const [first] = readers;
  const { plugin } = await peer.ask<{ plugin: string | null }>({ choose: { folder } });
  await Promise.all(readers.map((reader) => reader.ask({ folder }))); // warm-up of both sides
  await peer.ask({ read: { folder } });
  const theirs = await peer.ask<{ digest: string }>({ digest: true });
  const ours = await first!.ask<{ digest: string }>('digest');
  if (ours.digest !== theirs.digest) throw new Error(`${folder}: the two sides read different grey values`);
  const times: ReaderTurn[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const there = await peer.ask<Cost>({ read: { folder } });
    const here = await timed(() => first!.ask({ folder }));
    const together = await timed(() => Promise.all(readers.map((reader) => reader.ask({ folder }))));
    times.push({ here, peer: there, together: together.seconds });
  }
  return { plugin, turns: times };
}

function readOptions(): Options | 'help' {
  const text = (value: string) => ({ type: 'string', default: value }) as const;
  const { values } = parseArgs({
    options: {
      python: text('python3'),
      syntaxes: text(Object.keys(syntaxes).join(',')),
      slices: text('500'),
      images: text('50'),
      size: text('512'),
      turns: text('3'),
      workers: text(String(availableParallelism())),
      help: { type: 'boolean' },
    },
  });
  if (values.help) return 'help';
  const number = (name: 'slices' | 'images' | 'size' | 'turns' | 'workers') => {
    if (/^[1-9]\d*$/.test(values[name])) return Number(values[name]);
    throw new UserError(`--${name} is ${JSON.stringify(values[name])}`, {
      remedy: 'give a whole number above 0',
    });
  };
  const names = values.syntaxes.split(',').map((name) => name.trim());
  for (const name of names)
    if (!Object.hasOwn(syntaxes, name))
      throw new UserError(`--syntaxes: there is no ${JSON.stringify(name)}`, {
        remedy: `choose from ${Object.keys(syntaxes).join(', ')}`,
      });
  const [slices, images, size] = [number('slices'), number('images'), number('size')];
  return {
    python: values.python,
    names,
    slices,
    images,
    size,
    turns: number('turns'),
    workers: number('workers'),
  };
}

try {
  const options = readOptions();
  if (options === 'help') console.log(usage);
  else await bench(options);
} catch (error) {
  console.error(error instanceof UserError ? `error: ${messageOf(error)}` : error);
  process.exitCode = 1;
}
