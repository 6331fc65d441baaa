// The source of all randomness of the project: Philox 4×32-10, a counter-based generator (Salmon et al., SC 2011, "Parallel random
// numbers: as easy as 1, 2, 3"). A stream depends only on its key, so results do not depend on the order in which streams are
// read, on the number of workers, or on restarts.

// Looked up once, because access to a global's property is slow under Jest.
const { cos, floor, imul, log, PI, sqrt } = Math;

/** Identifies a stream of random numbers. Equal keys give equal numbers, on every machine. */
export interface RandomKey {
  /** Seed of the run or of the member, an integer in 0 … 2³²−1. */
  seed: number;
  /** What the numbers are used for: any text, such as `'shuffle'`, `'augment'` or `'init'`. */
  purpose: string;
  /** Epoch, an integer in 0 … 2³²−1; default 0. */
  epoch?: number;
  /** Index of the sample, or its name; default 0. */
  sample?: number | string;
}

/** A stream of random numbers; each call advances it. */
export interface RandomStream {
  /** A number in [0, 1) with 24 random bits, which float32 represents exactly. */
  uniform(): number;
  /** An integer in [0, n). */
  integer(n: number): number;
  /** A draw from the normal distribution with mean 0 and variance 1. */
  normal(): number;
  /** 32 random bits as an unsigned integer. */
  bits(): number;
}

/** The stream of a key, from its beginning. */
export function randomStream(key: RandomKey): RandomStream {
  const keyWords: [number, number] = [key.seed >>> 0, hash32(key.purpose)];
  const sample = typeof key.sample === 'string' ? hash32(key.sample) : (key.sample ?? 0);
  let block: Words = [0, 0, 0, 0];
  let counter = 0;
  let used = 4;
  const bits = () => {
    if (used === 4) {
      block = philox4x32([counter++, 0, (key.epoch ?? 0) >>> 0, sample >>> 0], keyWords);
      used = 0;
    }
    return block[used++]!;
  };
  const uniform = () => (bits() >>> 8) / 0x1000000;
  return {
    bits,
    uniform,
    integer: (n) => floor((bits() / 0x1_0000_0000) * n),
    normal: () => sqrt(-2 * log(1 - uniform())) * cos(2 * PI * uniform()),
  };
}

/** The numbers 0 … n−1 in random order (Fisher–Yates). */
export function permutation(n: number, key: RandomKey): number[] {
  const random = randomStream(key);
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

type Words = [number, number, number, number];

/** Philox 4×32 with ten rounds: from a counter and a key, as unsigned 32-bit words, to four random words. */
export function philox4x32(counter: Words, key: [number, number]): Words {
  let [a, b, c, d] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, a);
    const low0 = imul(0xd2511f53, a);
    const high1 = multiplyHigh(0xcd9e8d57, c);
    const low1 = imul(0xcd9e8d57, c);
    [a, b, c, d] = [high1 ^ b ^ k0, low1, high0 ^ d ^ k1, low0];
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  return [a >>> 0, b >>> 0, c >>> 0, d >>> 0];
}

/** The upper 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function multiplyHigh(x: number, y: number): number {
  const xl = x & 0xffff;
  const xh = x >>> 16;
  const yl = y & 0xffff;
  const yh = y >>> 16;
  const low = xl * yl;
  const middle = xh * yl + (low >>> 16);
  const middle2 = xl * yh + (middle & 0xffff);
  return xh * yh + floor(middle / 0x10000) + floor(middle2 / 0x10000);
}

/** The 32-bit FNV-1a hash of the text's UTF-8 bytes. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
