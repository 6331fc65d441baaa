// Describes the machine that a benchmark runs on, for its report.
import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';

export interface Machine {
  cpu: string;
  cores: number;
  /** The instruction-set extensions that affect the speed of networks, such as `avx2`. */
  instructions: string[];
  memoryGiB: number;
}

/** Describes this machine; `instructions` is empty where there is no /proc/cpuinfo. */
export async function describeMachine(): Promise<Machine> {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown CPU',
    cores: availableParallelism(),
    instructions: instructionsIn(await readFile('/proc/cpuinfo', 'utf8').catch(() => '')),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
  };
}

const relevant = ['avx2', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_bf16', 'asimd', 'sve', 'bf16'];

/** The relevant instruction-set extensions in the text of Linux's /proc/cpuinfo (x86 and Arm). */
export function instructionsIn(cpuinfo: string): string[] {
  const flags = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1]?.split(' ') ?? [];
  return relevant.filter((name) => flags.includes(name));
}
