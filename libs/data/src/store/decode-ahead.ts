// A second thread decodes the images of a scan from the last one on, while the thread that prepares the scan decodes from the first
// one on, until they meet. The second one is never waited for: what it has not sent is decoded here. Both decode to the same values.
import { once } from 'node:events';
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { decodeSlice } from '../readers/images/slices.ts';
import type { SliceFile } from '../readers/slice-source.ts';
import type { GreyImage } from '../scan.ts';

/** Scans of fewer images are decoded by one thread. */
const FEWEST_IMAGES = 16;

/** What the two threads share, as plain data. */
export interface DecodeAhead {
  port: MessagePort;
  /** One Int32: the image that the preparing thread has come to. */
  front: SharedArrayBuffer;
}

interface Sent {
  slice: number;
  image: GreyImage;
}

/** The preparing thread's side: gives the files what the second thread has decoded of them. Call the result at the end. */
export function takeAhead(files: readonly SliceFile[], { port, front }: DecodeAhead): () => void {
  const came = new Int32Array(front);
  const end = () => {
    Atomics.store(came, 0, files.length);
    port.close();
  };
  if (files.length < FEWEST_IMAGES) return end;
  const images = new Map<number, GreyImage>();
  for (const [i, file] of files.entries())
    file.decoded = () => {
      Atomics.store(came, 0, i);
      for (let got = receiveMessageOnPort(port); got !== undefined; got = receiveMessageOnPort(port)) {
        const { slice, image } = got.message as Sent;
        images.set(slice, image);
      }
      const image = images.get(i) ?? null;
      images.delete(i);
      return image;
    };
  port.postMessage(files.map(({ bytes }) => bytes));
  return end;
}

/** The second thread's side. It sends no image that cannot be decoded, or whose conversion to 8-bit grey lost something. */
export async function decodeAhead({ port, front }: DecodeAhead): Promise<void> {
  const came = new Int32Array(front);
  const ended = new AbortController();
  port.once('close', () => ended.abort());
  let files: (Uint8Array | null)[];
  try {
    [files] = (await once(port, 'message', { signal: ended.signal })) as [(Uint8Array | null)[]];
  } catch {
    return; // The scan is too small, or could not be read.
  }
  for (let slice = files.length - 1; slice > Atomics.load(came, 0); slice--) {
    const bytes = files[slice]!;
    if (bytes === null) continue;
    try {
      const { image, loss } = await decodeSlice(bytes);
      if (loss === null)
        port.postMessage({ slice, image } satisfies Sent, [image.data.buffer as ArrayBuffer]);
    } catch {
      // The other thread finds the reason.
    }
  }
  port.close();
}
