// The parts of the check, in order. Each is one command with a time limit; its exit code is the verdict.
import { join } from 'node:path';

export interface Options {
  /** A folder with the wheels of `engine:install --gpu`; undefined: they are downloaded. */
  wheels: string | undefined;
  /** Folder for logs, runs and the parts' own reports. */
  work: string;
  /** A Python with torch for the benchmark; undefined: the benchmark's default. */
  python: string | undefined;
  /** Names of parts; undefined: all. */
  parts: string[] | undefined;
}

export interface Part {
  name: string;
  /** What is true if the part passes. */
  claim: string;
  command: readonly string[];
  env?: Readonly<Record<string, string>>;
  limitSeconds: number;
  /** A file that the part writes and that the report contains. */
  result?: string;
  /** A file or folder that is removed before the part runs, so that no result of an earlier check is used. */
  fresh?: string;
  /** The reason why the part cannot run on this machine. */
  skipped?: string;
}

const GIB = 2 ** 30;

/** The parts of the check on a machine with `gpus` GPUs. */
export function planOf({ wheels, work, python }: Options, gpus: number): Part[] {
  const nx = (target: string, ...args: string[]) => ['npx', 'nx', 'run', target, ...args];
  const program = (name: string, ...args: string[]) => [
    'node',
    join('tools', 'gpu-check', 'dist', name),
    ...args,
  ];
  const all = Array.from({ length: gpus }, (_, i) => `gpu:${i}`).join(',');
  const several = gpus > 1 ? {} : { skipped: 'the machine has one GPU' };
  const minutes = (count: number) => count * 60;
  return [
    {
      name: 'install',
      claim: 'TensorFlow with CUDA is installed from pinned, hashed wheels',
      command: nx('engine:install', '--gpu', ...(wheels === undefined ? [] : ['--wheels', wheels])),
      limitSeconds: minutes(60),
    },
    {
      name: 'doctor',
      claim: 'driver, CUDA libraries and every device are found, and a small step runs on each',
      command: nx('engine:doctor'),
      limitSeconds: minutes(15),
    },
    {
      name: 'engine-tests',
      claim: "the engine's own tests pass on the library for GPUs",
      command: nx('engine:test', '--skip-nx-cache'),
      limitSeconds: minutes(30),
    },
    {
      name: 'conformance',
      claim: "tfjs-core's own suite passes on the GPU, except for the listed exceptions",
      command: nx('engine:conformance', '--report', join(work, 'conformance.json')),
      env: { CT_ENSEMBLE_CONFORMANCE_DEVICE: 'gpu:0' },
      limitSeconds: minutes(60),
      result: join(work, 'conformance.json'),
      fresh: join(work, 'conformance.json'),
    },
    {
      name: 'cpu-agreement',
      claim: 'a small network trains on the GPU as on the CPU, within 0.1 % of the loss',
      command: program('compare-main.js', '--left', 'gpu:0', '--right', 'cpu:0', '--tolerance', '0.001'),
      limitSeconds: minutes(10),
    },
    {
      name: 'determinism',
      claim: 'with deterministic ops two processes give the same bytes',
      command: program('compare-main.js', '--left', 'gpu:0', '--right', 'gpu:0', '--deterministic'),
      limitSeconds: minutes(10),
    },
    {
      name: 'shared-gpu',
      claim: 'two members at once on one GPU, in two threads of a process, train as one alone',
      command: program('compare-main.js', '--left', 'gpu:0,gpu:0', '--right', 'gpu:0', '--deterministic'),
      limitSeconds: minutes(10),
    },
    {
      name: 'divided-gpu',
      claim: 'the same with 4 GiB for each member',
      command: program(
        'compare-main.js',
        ...[
          '--left',
          'gpu:0,gpu:0',
          '--right',
          'gpu:0',
          '--deterministic',
          '--memory-limit',
          String(4 * GIB),
        ],
      ),
      limitSeconds: minutes(10),
    },
    {
      name: 'every-gpu',
      claim: 'a member on every GPU at once, in threads of one process, trains as one alone',
      command: program('compare-main.js', '--left', all, '--right', 'gpu:0', '--deterministic'),
      limitSeconds: minutes(10),
      ...several,
    },
    {
      name: 'ensemble-one-gpu',
      claim: 'the ensemble of the recipe quick is trained on one GPU',
      command: nx('trainer:all-members', '--devices', 'gpu:0', '--run', join(work, 'run-one-gpu')),
      limitSeconds: minutes(30),
      fresh: join(work, 'run-one-gpu'),
    },
    {
      name: 'ensemble-every-gpu',
      claim: 'the ensemble of the recipe quick is trained on every GPU at once',
      command: nx('trainer:all-members', '--devices', all, '--run', join(work, 'run-every-gpu')),
      limitSeconds: minutes(30),
      fresh: join(work, 'run-every-gpu'),
      ...several,
    },
    {
      name: 'bench',
      claim: 'the benchmark runs beside PyTorch, float32 on both sides',
      command: nx(
        'engine:bench',
        ...['--device', 'gpu:0', '--json', join(work, 'bench.json'), '--markdown', join(work, 'bench.md')],
        ...(python === undefined ? [] : ['--python', python]),
      ),
      limitSeconds: minutes(120),
      result: join(work, 'bench.md'),
      fresh: join(work, 'bench.md'),
    },
  ];
}

/** The command as text for a shell, quoted where necessary. */
export function commandLine({ command, env = {} }: Part): string {
  const quoted = (word: string) =>
    /^[\w./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
  return [
    ...Object.entries(env).map(([name, value]) => `${name}=${quoted(value)}`),
    ...command.map(quoted),
  ].join(' ');
}
