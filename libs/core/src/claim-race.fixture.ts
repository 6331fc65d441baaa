// Starts processes that claim folders when told to, for the tests of the claim. They run from dist/.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { RacerAnswer, RacerOrder } from './claim-racer.fixture.ts';

export interface Racer {
  /** The answer to an order to claim the folder at this time (milliseconds since 1970; default: now). */
  claim(folder: string, about?: { at?: number; lease?: number }): Promise<RacerAnswer>;
  isHeld(): Promise<RacerAnswer>;
  release(): Promise<RacerAnswer>;
  end(): void;
  /** The process, or that of `prefix`. */
  pid: number;
}

export interface RacerOptions {
  uid?: number;
  /** What runs `node`, such as `unshare` with its arguments. */
  prefix?: readonly string[];
}

/** Starts so many processes and waits until all are ready. */
export async function startRacers(count: number, options: RacerOptions = {}): Promise<Racer[]> {
  return Promise.all(Array.from({ length: count }, () => startRacer(options)));
}

async function startRacer({ uid, prefix = [] }: RacerOptions): Promise<Racer> {
  const program = fileURLToPath(new URL('../dist/claim-racer.fixture.js', import.meta.url));
  const [command, ...args] = [...prefix, process.execPath, program];
  const child: ChildProcess = spawn(command!, args, {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    ...(uid !== undefined && { uid }),
  });
  const answer = async () => ((await once(child, 'message')) as [RacerAnswer])[0];
  const ask = async (order: RacerOrder) => {
    const answered = answer();
    child.send(order);
    return answered;
  };
  await answer();
  return {
    claim: (folder, about) => ask({ order: 'claim', folder, ...about }),
    isHeld: () => ask({ order: 'isHeld' }),
    release: () => ask({ order: 'release' }),
    end: () => child.disconnect(),
    pid: child.pid!,
  };
}
