// The other side of network-worker.ts: starts the thread of an ensemble's networks, asks it and ends it.
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { messageOf, UserError } from '@ct-ensemble/core';
import type {
  NetworkReply,
  NetworkRequest,
  NetworkResults,
  NetworkStart,
  SentError,
} from './network-messages.ts';

/** A request without its number. */
type Asked<Kind extends NetworkRequest['kind']> = Omit<
  Extract<NetworkRequest, { kind: Kind }>,
  'id' | 'kind'
>;

export interface NetworkThread {
  /** Description of library and device. */
  readonly engine: string;
  /** @throws {Error} the other thread's error, a UserError as one, or that the thread has ended. */
  ask<Kind extends NetworkRequest['kind']>(kind: Kind, request: Asked<Kind>): Promise<NetworkResults[Kind]>;
  /** False once the thread has ended. */
  isOpen(): boolean;
  /** Frees the device's memory and ends the thread. Requests in progress are finished first. */
  close(): Promise<void>;
}

/** A thread that loads its modules, which takes a second, and then waits for what it starts with. */
export interface LaunchedThread {
  /**
   * Builds the networks. The buffer of the file is moved into the thread.
   * @throws {UserError} if weights do not fit; an error of the engine if the device cannot be opened. The thread has then ended.
   */
  start(start: NetworkStart): Promise<NetworkThread>;
  /** Ends a thread that was not started. */
  abandon(): Promise<void>;
}

/** Launches the thread and builds the networks, see `LaunchedThread.start`. */
export const startNetworks = (start: NetworkStart): Promise<NetworkThread> => launchNetworks().start(start);

/** Launches the thread; what else takes time can be done until `start`. */
export function launchNetworks(): LaunchedThread {
  // The built worker, from src/ and dist/ alike: Node runs no TypeScript before 22.18.
  const worker = new Worker(
    fileURLToPath(new URL('../../dist/prediction/network-worker.js', import.meta.url)),
  );
  return {
    start: (start) => started(worker, start),
    abandon: async () => void (await worker.terminate()),
  };
}

async function started(worker: Worker, start: NetworkStart): Promise<NetworkThread> {
  const waiting = new Map<number, { resolve(result: never): void; reject(error: unknown): void }>();
  let ended: Error | undefined;
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const fail = (error: Error) => {
    ended ??= error;
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
  };
  worker.on('error', (error: unknown) =>
    fail(new Error(`the thread of the networks failed: ${messageOf(error)}`)),
  );
  worker.once('exit', (code) => fail(new Error(`the thread of the networks has ended (code ${code})`)));
  const engine = await new Promise<string>((resolve, reject) => {
    waiting.set(0, { resolve: resolve as (result: never) => void, reject });
    worker.on('message', (reply: NetworkReply) => {
      if (reply.kind === 'opened') resolve(reply.engine);
      else if (reply.kind === 'not-opened') reject(received(reply.error));
      else {
        const own = waiting.get(reply.id);
        waiting.delete(reply.id);
        if (reply.kind === 'result') own?.resolve(reply.result as never);
        else own?.reject(received(reply.error));
      }
    });
    worker.postMessage(start, [start.buffer]);
  });
  waiting.delete(0);
  worker.unref(); // An ensemble that nobody asks does not keep the process alive.
  let next = 1;
  const ask: NetworkThread['ask'] = (kind, request) =>
    new Promise((resolve, reject) => {
      if (ended) return reject(ended);
      const id = next++;
      worker.ref();
      const settled = () => {
        if (waiting.size === 0) worker.unref();
      };
      waiting.set(id, {
        resolve(result) {
          settled();
          resolve(result);
        },
        reject(error) {
          settled();
          reject(error as Error);
        },
      });
      worker.postMessage({ id, kind, ...request });
    });
  return {
    engine,
    ask,
    isOpen: () => ended === undefined,
    async close() {
      if (ended) return;
      await ask('close', {});
      ended = new Error('the ensemble is closed');
      worker.ref();
      await exited;
    },
  };
}

function received({ message, user }: SentError): Error {
  if (user === undefined) return new Error(message);
  const { problem, file, remedy } = user;
  return new UserError(problem, {
    ...(file !== undefined && { file }),
    ...(remedy !== undefined && { remedy }),
  });
}
