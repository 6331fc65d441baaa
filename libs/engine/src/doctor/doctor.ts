// Examines whether and how the engine can run on this machine. The result is a list of findings, with remedies.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, platform } from 'node:os';
import { dirname, join } from 'node:path';
import type { DeviceInfo } from '../devices/device.ts';
import { listDevices } from '../devices/devices.ts';
import { EngineError, messageOf } from '../errors.ts';
import { findTensorFlow, hasCuda, requireTensorFlow, type TensorFlowLibrary } from '../library/library.ts';

export interface Finding {
  what: string;
  /** `ok`; `note`: the engine runs, but slower or with less than the machine offers; `problem`: it does not run. */
  state: 'ok' | 'note' | 'problem';
  text: string;
  remedy?: string;
}

/** Access to the machine under examination; tests substitute another. */
export interface Machine {
  library(): TensorFlowLibrary;
  devices(): Promise<DeviceInfo[]>;
  /** Runs a small training step; returns its median time in milliseconds and the engine's description. */
  step(device: DeviceInfo): Promise<{ milliseconds: number; description: string }>;
  /** Text of a file, or undefined if it cannot be read. */
  read(path: string): string | undefined;
  exists(path: string): boolean;
  /** Names in a folder; empty if it cannot be read. */
  list(path: string): string[];
  /** Standard output of a command, or undefined if it is missing or fails. */
  output(command: string, args: readonly string[]): string | undefined;
  env: NodeJS.ProcessEnv;
  cores: number;
}

/** Major version of the oldest driver for CUDA 12, 525.60.13 (CUDA's notes on minor version compatibility). */
const OLDEST_DRIVER = 525;

/** Shared libraries that TensorFlow 2.21 opens on a GPU → folder of each in the package `nvidia`. */
export const cudaLibraries: Readonly<Record<string, string>> = {
  'libcudart.so.12': 'cuda_runtime',
  'libcublas.so.12': 'cublas',
  'libcublasLt.so.12': 'cublas',
  'libcudnn.so.9': 'cudnn',
  'libcufft.so.11': 'cufft',
  'libcusolver.so.11': 'cusolver',
  'libcusparse.so.12': 'cusparse',
  'libnvJitLink.so.12': 'nvjitlink',
  'libnvrtc.so.12': 'cuda_nvrtc',
  'libnccl.so.2': 'nccl',
  'libcupti.so.12': 'cuda_cupti',
};

/** Examines the machine. Never throws: every error becomes a finding. */
export async function examine(machine: Machine): Promise<Finding[]> {
  const findings: Finding[] = [libraryFinding(machine), cpuFinding(machine), threadFinding(machine)];
  const library = findings[0]!.state === 'problem' ? undefined : machine.library();
  findings.push(...gpuFindings(machine, library));
  if (library === undefined) return findings;
  const devices = await attempt('devices', () => machine.devices());
  if ('state' in devices) return [...findings, devices];
  findings.push(...devices.map(deviceFinding));
  if (driverVersion(machine) !== undefined && !devices.some(({ kind }) => kind === 'gpu')) {
    findings.push({
      what: 'devices',
      state: 'note',
      text: 'the NVIDIA driver is installed, but TensorFlow sees no GPU',
      remedy: hasCuda(library)
        ? 'set CT_ENSEMBLE_VERBOSE=1 to see the messages of TensorFlow; a container must be started with access to the GPUs'
        : 'run `nx run engine:install --gpu`',
    });
  }
  for (const device of devices) findings.push(await stepFinding(machine, device));
  return findings;
}

/** Formats a finding as one line: sign, subject, text and remedy. */
export function lineOf({ what, state, text, remedy }: Finding): string {
  const sign = { ok: ' ', note: '!', problem: '✗' }[state];
  return `${sign} ${what.padEnd(9)} ${text}${remedy === undefined ? '' : ` → ${remedy}`}`;
}

function libraryFinding(machine: Machine): Finding {
  const what = 'library';
  try {
    const library = machine.library();
    const kind = hasCuda(library) ? 'with CUDA' : 'for CPUs';
    const version = library.version ?? '(version unknown)';
    return {
      what,
      state: 'ok',
      text: `TensorFlow ${version} ${kind}, ${library.folder} (${library.source})`,
    };
  } catch (error) {
    return problem(what, error);
  }
}

/** Instruction sets by which oneDNN selects its kernels. */
const features = ['avx2', 'avx512f', 'avx512_bf16', 'amx_bf16', 'bf16'];

function cpuFinding({ read, cores }: Machine): Finding {
  const info = read('/proc/cpuinfo') ?? '';
  const field = (name: string) => new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(info)?.[1];
  const flags = (field('flags') ?? field('Features') ?? '').split(' ');
  const found = features.filter((name) => flags.includes(name));
  const name = field('model name') ?? 'CPU';
  const text = `${name}, ${cores} threads: ${flags.length > 1 ? found.join(', ') || 'none of ' + features.join(', ') : 'this system does not report its features'}`;
  if (flags.includes('fpu') && !flags.includes('avx2')) {
    return {
      what: 'cpu',
      state: 'note',
      text,
      remedy: 'expect slow steps: TensorFlow needs AVX2 to be fast',
    };
  }
  return { what: 'cpu', state: 'ok', text };
}

function threadFinding({ env, cores }: Machine): Finding {
  const what = 'threads';
  const set = ['TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS', 'OMP_NUM_THREADS'].filter(
    (name) => env[name],
  );
  if (set.length > 0) {
    const text = `${set.map((name) => `${name}=${env[name]}`).join(', ')} set TensorFlow's threads`;
    return { what, state: 'note', text, remedy: 'unset them so that the option `threads` takes effect' };
  }
  return { what, state: 'ok', text: `${cores} by default; the first engine of a process sets the number` };
}

function gpuFindings(machine: Machine, library: TensorFlowLibrary | undefined): Finding[] {
  const driver = driverVersion(machine);
  if (driver === undefined) {
    return [{ what: 'driver', state: 'ok', text: 'no NVIDIA driver: CPUs only' }];
  }
  const findings: Finding[] = [driverFinding(driver)];
  const visible = machine.env['CUDA_VISIBLE_DEVICES'];
  if (visible !== undefined) {
    findings.push({
      what: 'driver',
      state: 'note',
      text: `CUDA_VISIBLE_DEVICES=${visible} decides which GPUs are seen`,
    });
  }
  if (library !== undefined) findings.push(cudaFinding(machine, library));
  return findings;
}

function driverFinding(version: string): Finding {
  const what = 'driver';
  const text = `NVIDIA driver ${version}`;
  if (Number.parseInt(version) >= OLDEST_DRIVER) return { what, state: 'ok', text };
  return { what, state: 'note', text, remedy: `CUDA 12 needs ${OLDEST_DRIVER}.60.13 or newer: install one` };
}

function driverVersion({ read, output }: Machine): string | undefined {
  const text = read('/proc/driver/nvidia/version');
  const version = text === undefined ? undefined : /\s(\d+\.\d+(?:\.\d+)?)\s/.exec(text)?.[1];
  const asked = () =>
    output('nvidia-smi', ['--query-gpu=driver_version', '--format=csv,noheader'])?.split('\n')[0]?.trim();
  return version ?? (asked() || undefined);
}

/** Whether every CUDA library lies beside TensorFlow or where the system's loader finds it. */
function cudaFinding({ list, exists, output, env }: Machine, library: TensorFlowLibrary): Finding {
  const what = 'cuda';
  const beside = join(dirname(library.folder), 'nvidia');
  const folders = [
    ...list(beside).map((name) => join(beside, name, 'lib')),
    ...(env['LD_LIBRARY_PATH'] ?? '').split(':').filter(Boolean),
  ];
  const loader = output('ldconfig', ['-p']) ?? output('/sbin/ldconfig', ['-p']) ?? '';
  const isThere = (name: string) =>
    folders.some((folder) => exists(join(folder, name))) || loader.includes(`\t${name} `);
  const missing = Object.keys(cudaLibraries).filter((name) => !isThere(name));
  const count = Object.keys(cudaLibraries).length;
  if (missing.length === 0) return { what, state: 'ok', text: `all ${count} CUDA libraries found` };
  return {
    what,
    state: 'note',
    text: missing.length === count ? 'no CUDA libraries' : `missing: ${missing.join(', ')}`,
    remedy: hasCuda(library)
      ? `delete ${dirname(library.folder)} and run \`nx run engine:install --gpu\`, or pip install ` +
        [...new Set(missing.map((name) => `nvidia-${cudaLibraries[name]!.replace('_', '-')}-cu12`))].join(' ')
      : 'run `nx run engine:install --gpu`, or pip install tensorflow[and-cuda]',
  };
}

function deviceFinding({ name, memory }: DeviceInfo): Finding {
  const size = memory === undefined ? '' : `, ${(memory / 2 ** 30).toFixed(1)} GiB`;
  return { what: 'device', state: 'ok', text: `${name}${size}` };
}

async function stepFinding(machine: Machine, device: DeviceInfo): Promise<Finding> {
  const what = 'step';
  const timed = await attempt(what, () => machine.step(device));
  if ('state' in timed) return timed;
  const { description, milliseconds } = timed;
  return { what, state: 'ok', text: `${description}: float32 ${milliseconds.toFixed(1)} ms` };
}

async function attempt<T extends object>(what: string, work: () => Promise<T>): Promise<T | Finding> {
  try {
    return await work();
  } catch (error) {
    return problem(what, error);
  }
}

/** The finding for any thrown value, with its first line as text. */
function problem(what: string, error: unknown): Finding {
  const text = messageOf(error).split('\n')[0]!;
  if (error instanceof EngineError || text.includes(' → ')) return { what, state: 'problem', text };
  return { what, state: 'problem', text, remedy: 'run `nx run engine:install` again, or report this line' };
}

/** The machine that this process runs on. `step` is a parameter because it opens an engine. */
export function thisMachine(step: Machine['step']): Machine {
  return {
    library: () => findTensorFlow() ?? requireTensorFlow(),
    devices: listDevices,
    step,
    read(path) {
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return undefined;
      }
    },
    exists: existsSync,
    list(path) {
      try {
        return readdirSync(path).sort();
      } catch {
        return [];
      }
    },
    output(command, args) {
      if (platform() !== 'linux') return undefined;
      const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', timeout: 20_000 });
      return status === 0 ? stdout : undefined;
    },
    env: process.env,
    cores: availableParallelism(),
  };
}
