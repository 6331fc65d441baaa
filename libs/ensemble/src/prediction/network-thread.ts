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

/**
 * Starts the thread and builds the networks. The buffer of the file is moved into it.
 * @throws {UserError} if weights do not fit; an error of the engine if the device cannot be opened.
 */
export async function startNetworks(start: NetworkStart): Promise<NetworkThread> {
  // The built worker, from src/ and dist/ alike: Node runs no TypeScript before 22.18.
  const worker = new Worker(
    fileURLToPath(new URL('../../dist/prediction/network-worker.js', import.meta.url)),
    {
      workerData: start,
      transferList: [start.buffer],
    },
  );
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
