// The worker thread of file-thread.ts: transposes, digests and writes what it is given, one request after the other. It loads
// neither tfjs nor TensorFlow.
import { createHash } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { messageOf, UserError, writeFileAtomic } from '@ct-ensemble/core';
import type { Answer, Request } from './file-thread.ts';
import { transposeInPlace } from './transpose.ts';

// A checkpoint need not be written at once: where all processors are busy, the training goes first. Linux gives each
// thread a priority of its own; elsewhere it keeps the process's.
try {
  const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
  setPriority(thread, constants.priority.PRIORITY_BELOW_NORMAL);
} catch {
  // no /proc, or a sandbox that forbids it
}

parentPort!.on('message', (request: Request) => {
  void answerTo(request).then((answer) => parentPort!.postMessage({ ...answer, id: request.id }));
});

async function answerTo(request: Request): Promise<Omit<Answer, 'id'>> {
  try {
    if (request.kind === 'write') return { value: void (await writeFileAtomic(request.path, request.parts)) };
    if (request.kind === 'transpose') {
      for (const tensor of request.tensors) transposeInPlace(tensor);
      return {};
    }
    const hash = createHash('sha256');
    for (const part of request.parts) hash.update(part);
    return { value: hash.digest('hex') };
  } catch (error) {
    // An error that is sent to another thread loses its class and its fields.
    if (!(error instanceof UserError)) return { error: { problem: messageOf(error), isUserError: false } };
    const { problem, file, remedy } = error;
    return { error: { problem, ...(file && { file }), ...(remedy && { remedy }), isUserError: true } };
  }
}
