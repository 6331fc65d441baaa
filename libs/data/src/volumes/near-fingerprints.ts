// Compares each of many fingerprints with all others. A data set of 100 000 scans has five thousand million pairs, so the bits are
// counted by a WebAssembly function: `near-fingerprints.wat` is its source, which `wat2wasm` of the npm package wabt compiles.
import { setImmediate } from 'node:timers/promises';

const CODE =
  'AGFzbQEAAAABDAFgB39/f39/fH8BfwIYAQxmaW5nZXJwcmludHMGbWVtb3J5AgABAwIBAAcIAQRuZWFyAAAKhAIBgQICCH8BeyAEIABBAnRqKAIAIQ4gASEHAkAD' +
  'QCAHIAJPDQEgBSAOIAQgB0ECdGooAgBquKKrIQxBACELIAAgA2whCCAHIANsIQkgCCADaiEKAkADQCAI/QAEACAJ/QAEAP1R/WIgCP0ABBAgCf0ABBD9Uf1i/W4g' +
  'CP0ABCAgCf0ABCD9Uf1iIAj9AAQwIAn9AAQw/VH9Yv1u/W4hDyAP/X39fyEPIAsgD/0bACAP/RsBaiAP/RsCIA/9GwNqamohCyALIAxLDQEgCEHAAGohCCAJQcAA' +
  'aiEJIAggCkkNAAsgBiANQQJ0aiAHNgIAIA1BAWohDQsgB0EBaiEHDAALCyANCw==';

/** Of the global object, which the types of Node leave out. */
declare const WebAssembly: {
  Memory: new (size: { initial: number }) => { buffer: ArrayBuffer };
  Module: new (code: Uint8Array) => object;
  Instance: new (module: object, imports: Record<string, object>) => { exports: unknown };
};

interface Near {
  near(
    one: number,
    from: number,
    to: number,
    stride: number,
    ones: number,
    factor: number,
    out: number,
  ): number;
}

/** Bytes of a page of a WebAssembly memory. */
const PAGE = 65536;
/** Fingerprints that are compared with all before them, one after the other: 256 kB of the usual length, which stay in the cache. */
const TILE = 512;
/** Milliseconds after which other work of the thread gets its turn, such as the heartbeat of a claim. */
const LONGEST = 50;

/** Numbers of two fingerprints, the first one smaller, and of the bits that differ. */
export interface NearPair {
  first: number;
  second: number;
  differing: number;
}

/**
 * All pairs of fingerprints that differ in fewer than threshold · (sum of their ones) / (2 − threshold) bits, in no order. All fingerprints
 * have as many 32-bit words. Takes about 30 ns a pair, and lets other work of the thread run.
 * @throws the reason of `signal` after it is aborted.
 */
export async function nearFingerprints(
  fingerprints: readonly Uint32Array[],
  { threshold, signal }: { threshold: number; signal?: AbortSignal | undefined },
): Promise<NearPair[]> {
  const count = fingerprints.length;
  const stride = Math.ceil((fingerprints[0]?.length ?? 0) / 16) * 64;
  const ones = count * stride;
  const out = ones + 4 * count;
  const memory = new WebAssembly.Memory({ initial: Math.ceil((out + 4 * TILE) / PAGE) });
  const module = new WebAssembly.Module(Buffer.from(CODE, 'base64'));
  const { exports } = new WebAssembly.Instance(module, { fingerprints: { memory } });
  const { near } = exports as Near;
  const view = new Uint32Array(memory.buffer);
  for (const [i, words] of fingerprints.entries()) {
    view.set(words, (i * stride) / 4);
    view[ones / 4 + i] = words.reduce((sum, word) => sum + countOnes(word), 0);
  }
  const pairs: NearPair[] = [];
  // The function takes whole numbers of bits; rounding must lose no pair. Two fingerprints never differ in more bits than they have ones.
  const factor = Math.min(threshold / (2 - threshold), 1) * (1 + 1e-9);
  let since = performance.now();
  for (let from = 0; from < count; from += TILE)
    for (let first = 0; first < Math.min(from + TILE, count); first++) {
      if (first % 64 === 0 && performance.now() - since > LONGEST) {
        await setImmediate();
        signal?.throwIfAborted();
        since = performance.now();
      }
      const to = Math.min(from + TILE, count);
      const found = near(first, Math.max(from, first + 1), to, stride, ones, factor, out);
      for (const second of view.subarray(out / 4, out / 4 + found)) {
        const other = fingerprints[second]!;
        const differing = fingerprints[first]!.reduce((sum, word, k) => sum + countOnes(word ^ other[k]!), 0);
        const both = view[ones / 4 + first]! + view[ones / 4 + second]!;
        if (differing < (threshold * both) / (2 - threshold)) pairs.push({ first, second, differing });
      }
    }
  return pairs;
}

export function countOnes(word: number): number {
  let x = word - ((word >>> 1) & 0x55555555);
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  x = (x + (x >>> 4)) & 0x0f0f0f0f;
  x += x >>> 8;
  return (x + (x >>> 16)) & 0x3f;
}
