// The decoders of compressed frames, @cornerstonejs/dicom-codec: loaded, kept quiet, run one at a time, renewed on failure.
import { createRequire } from 'node:module';
import { messageOf } from '@ct-ensemble/core';
import type { Codec } from '@cornerstonejs/dicom-codec';

const require = createRequire(import.meta.url);
/** Decoders of which dicom-codec asks for the JavaScript build, which is slower than the WebAssembly build beside it. */
const WITH_WASM = ['openjpeg', 'charls', 'libjpeg-turbo-8bit'].map((name) => `@cornerstonejs/codec-${name}`);
const loadCodec = () => {
  const beside = createRequire(require.resolve('@cornerstonejs/dicom-codec'));
  for (const name of WITH_WASM) {
    const wasm = beside.resolve(`${name}/wasmjs`);
    beside(wasm);
    require.cache[beside.resolve(name)] = require.cache[wasm];
  }
  return require('@cornerstonejs/dicom-codec') as Codec;
};
let codec = loadCodec();

/** Whether there is a decoder for a compressed transfer syntax. */
export const hasCodec = (transferSyntax: string) => codec.hasCodec(transferSyntax);

let lastDecoding: Promise<unknown> = Promise.resolve();

/**
 * Decodes one compressed frame to its samples, little endian. Calls are queued: a decoder's result lies in memory that
 * its next run overwrites. Throws an Error with the reason if the frame cannot be decoded.
 */
export function decodeCompressed(...parameters: Parameters<Codec['decode']>): Promise<Uint8Array> {
  const result = lastDecoding.then(() => decodeQuietly(...parameters));
  lastDecoding = result.catch(() => undefined);
  return result;
}

/** Transfer syntaxes whose decoder has run before. */
const started = new Set<string>();

/** A decoder copies the methods of `console` when it first runs and writes to them from then on: it gets silent ones. */
async function decodeQuietly(
  ...[encoded, info, transferSyntax]: Parameters<Codec['decode']>
): Promise<Uint8Array> {
  const { log, warn, error } = console;
  const ignore = () => undefined;
  if (!started.has(transferSyntax)) Object.assign(console, { log: ignore, warn: ignore, error: ignore });
  try {
    const { imageFrame } = await codec.decode(encoded, info, transferSyntax);
    return new Uint8Array(imageFrame.buffer, imageFrame.byteOffset, imageFrame.byteLength).slice();
  } catch (cause) {
    countLeak(encoded.length + 2 * info.rows * info.columns);
    const reason = typeof cause === 'number' ? 'the decoder gave up' : messageOf(cause);
    throw new Error(`cannot be decoded: ${reason.replace(/\s+/g, ' ').trim()}`, { cause });
  } finally {
    Object.assign(console, { log, warn, error });
    started.add(transferSyntax);
  }
}

/** Leaked bytes after which the decoders are loaded again. */
const MAX_LEAKED_BYTES = 2 ** 26;

let leakedBytes = 0;

/**
 * A decoder that fails does not free its memory; after many failures none would be left for sound images. Only newly
 * loaded decoders have fresh memory.
 */
function countLeak(bytes: number) {
  leakedBytes += bytes;
  if (leakedBytes < MAX_LEAKED_BYTES) return;
  for (const path of Object.keys(require.cache))
    if (path.includes('@cornerstonejs')) Reflect.deleteProperty(require.cache, path);
  codec = loadCodec();
  started.clear();
  leakedBytes = 0;
}
