// A worker thread that transposes, digests and writes checkpoints while the training goes on in its own thread.
import { UserError } from '@ct-ensemble/core';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Untransposed } from './checkpoint.ts';

export type Request = { id: number } & (
  | { kind: 'transpose'; tensors: readonly Untransposed[] }
  | { kind: 'digest'; parts: readonly (string | Uint8Array)[] }
  | { kind: 'write'; path: string; parts: readonly Uint8Array[] }
);
export interface Answer {
  id: number;
  value?: string | undefined;
  error?: { problem: string; file?: string; remedy?: string; isUserError: boolean };
}

export interface FileThread {
  /** Transposes values in shared memory, in place. */
  transpose(tensors: readonly Untransposed[]): Promise<void>;
  /** SHA-256 over the parts, 64 hexadecimal digits. Bytes in shared memory are not copied. */
  digest(parts: readonly (string | Uint8Array)[]): Promise<string>;
  /** Writes a file as `writeFileAtomic` does, and throws what it throws. Bytes in shared memory are not copied. */
  write(path: string, parts: readonly Uint8Array[]): Promise<void>;
  close(): Promise<void>;
}

export function openFileThread(): FileThread {
  // The built worker, from src/ and dist/ alike: Node runs no TypeScript before 22.18.
  const worker = new Worker(fileURLToPath(new URL('../dist/file-thread.worker.js', import.meta.url)));
  const waiting = new Map<number, { resolve(value: string): void; reject(error: unknown): void }>();
  let [next, ended] = [0, undefined as Error | undefined];
  worker.on('message', ({ id, value, error }: Answer) => {
    const { resolve, reject } = waiting.get(id)!;
    waiting.delete(id);
    if (error === undefined) return resolve(value ?? '');
    const { problem, isUserError, ...where } = error;
    reject(isUserError ? new UserError(problem, where) : new Error(problem));
  });
  const failAll = (cause?: unknown) => {
    ended ??= new Error('the thread that writes checkpoints has ended', { cause });
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
  };
  worker.on('error', failAll);
  worker.on('exit', () => failAll());
  const ask = (request: { kind: Request['kind'] } & Record<string, unknown>) =>
    new Promise<string>((resolve, reject) => {
      if (ended !== undefined) return reject(ended);
      waiting.set(next, { resolve, reject });
      worker.postMessage({ ...request, id: next++ });
    });
  return {
    transpose: async (tensors) => void (await ask({ kind: 'transpose', tensors })),
    digest: (parts) => ask({ kind: 'digest', parts }),
    write: async (path, parts) => void (await ask({ kind: 'write', path, parts })),
    close: async () => void (await worker.terminate()),
  };
}
