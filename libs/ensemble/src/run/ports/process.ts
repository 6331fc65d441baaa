// Members in child processes: a native crash ends one member only, and the number of threads may differ by member.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { wrap } from 'comlink';
import { readRegularText } from '@ct-ensemble/core';
import { memberFolder } from '../../run-folder.ts';
import { readProgress } from '../../run-status.ts';
import { ipcEndpoint, receiveReports } from './channel.ts';
import { leaveMember } from './member-process.ts';
import { MemberFailure, type MemberPort } from './port.ts';
import type { ProcessControl } from './process-entry.ts';
import { tailOf } from './stderr-tail.ts';

export interface ProcessPortOptions {
  /** Limit of V8's heap in each process, in MB. Default: Node's. */
  heapLimit?: number;
}

export function processPort({ heapLimit }: ProcessPortOptions = {}): MemberPort {
  const execArgv = [
    ...process.execArgv,
    ...(heapLimit === undefined ? [] : [`--max-old-space-size=${heapLimit}`]),
  ];
  return {
    start(task, observer) {
      // The built worker, from src/ and dist/ alike: Node runs no TypeScript before 22.18.
      const child = fork(
        fileURLToPath(new URL('../../../dist/run/ports/process-entry.js', import.meta.url)),
        {
          execArgv,
          stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
          serialization: 'advanced', // JSON has neither NaN nor Infinity.
        },
      );
      const logs = tailOf(child.stdout, child.stderr);
      child.stdout!.on('data', (piece: Buffer) => process.stdout.write(piece));
      child.stderr!.on('data', (piece: Buffer) => process.stderr.write(piece));
      const endpoint = ipcEndpoint(child);
      const reported = receiveReports(endpoint, observer);
      const worker = wrap<ProcessControl>(endpoint);
      const run = async () => {
        const kills = await kernelKills();
        const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
        // The number of a device tells the engines of one process apart. TensorFlow's GPUs have the same numbers in all processes.
        const device = task.device.kind === 'cpu' ? { ...task.device, index: 0 } : task.device;
        void worker.run({ task: { ...task, device }, parent: process.pid });
        const [code, signal] = await closed;
        await leaveMember(memberFolder(task.run, task.member.name)).catch(() => {}); // The note of a process that has ended is ignored.
        const result = reported(logs());
        if (result) return result;
        throw deathOf({ code, signal, stderrTail: logs(), isKernel: (await kernelKills()) > kills });
      };
      return {
        result: run(),
        stop: () => void worker.stop(),
        status: () => readProgress(task.run, task.member.name),
        logs,
      };
    },
    close: async () => {},
  };
}

interface Death {
  code: number | null;
  signal: NodeJS.Signals | null;
  stderrTail: string;
  /** The kernel has ended some process for lack of memory in the meantime. */
  isKernel: boolean;
}

function deathOf({ code, signal, stderrTail, isKernel }: Death): MemberFailure {
  if (signal === 'SIGKILL' && isKernel)
    return new MemberFailure('its process was ended by the kernel for lack of memory (SIGKILL)', {
      kind: 'out-of-memory',
      signal,
      stderrTail,
    });
  const isMemory = /JavaScript heap out of memory|std::bad_alloc/.test(stderrTail);
  const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
  return new MemberFailure(`its process ${how}${isMemory ? ' for lack of memory' : ''}`, {
    kind: isMemory ? 'out-of-memory' : signal === null ? 'exit' : 'signal',
    signal,
    exitCode: code,
    stderrTail,
  });
}

/** How many processes the kernel has ended for lack of memory since the machine started; 0 where it does not say. */
async function kernelKills(): Promise<number> {
  const text = await readRegularText('/proc/vmstat').catch(() => '');
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
}
