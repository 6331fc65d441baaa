// The side of this project in bench:readers: a worker thread that reads a DICOM series as the preparation does.
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { openSlices, readSliceFiles } from '@ct-ensemble/data';

/** A folder to read, or the question for the digest of the last series. */
export type ReaderRequest = { folder: string } | 'digest';

/** Seconds of reading; or SHA-256 of all grey values, head first. */
export type ReaderAnswer = { seconds: number } | { digest: string } | { problem: string };

let last: Awaited<ReturnType<typeof openSlices>> | undefined;

async function answer(request: ReaderRequest): Promise<ReaderAnswer> {
  if (request === 'digest') {
    const digest = createHash('sha256');
    for (let i = 0; i < last!.count; i++) digest.update((await last!.decode(i)).image.data);
    return { digest: digest.digest('hex') };
  }
  last = undefined;
  const start = performance.now();
  const slices = (await readdir(request.folder)).map((name) => join(request.folder, name));
  last = await openSlices({ format: 'dicom', slices }, await readSliceFiles(slices));
  return { seconds: (performance.now() - start) / 1000 };
}

parentPort!.on('message', (request: ReaderRequest) => {
  answer(request).then(
    (result) => parentPort!.postMessage(result),
    (error: unknown) => parentPort!.postMessage({ problem: String(error) } satisfies ReaderAnswer),
  );
});
