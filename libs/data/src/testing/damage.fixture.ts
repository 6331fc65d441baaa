// Damaged copies of files for tests, the same for the same seed, and the cost of reading them.
import { randomStream } from '@ct-ensemble/core';

export const DAMAGES = [
  'truncated',
  'bits-flipped',
  'block-zeroed',
  'block-duplicated',
  'length-overwritten',
  'garbage-appended',
] as const;
export type Damage = (typeof DAMAGES)[number];

/** `length-overwritten` changes bytes among this many at the start of a file, where headers state lengths. */
const HEADER_BYTES = 512;

/** A damaged copy. It differs from the original and is at most 4 KiB longer or twice as long. */
export function damaged(bytes: Uint8Array, { seed, kind }: { seed: number; kind: Damage }): Uint8Array {
  const { bits, integer } = randomStream({ seed, purpose: `damage ${kind}` });
  const noise = (length: number) => Uint8Array.from({ length }, () => integer(256));
  const block = () => {
    const start = integer(bytes.length);
    return { start, end: start + 1 + integer(bytes.length - start) };
  };
  const copy = Uint8Array.from(bytes);
  switch (kind) {
    case 'truncated':
      return copy.subarray(0, integer(bytes.length));
    case 'bits-flipped': {
      const places = new Set(Array.from({ length: 1 + integer(64) }, () => integer(bytes.length * 8)));
      for (const place of places) copy[place >> 3]! ^= 1 << (place & 7);
      return copy;
    }
    case 'block-zeroed': {
      const { start, end } = block();
      if (copy.subarray(start, end).every((byte) => byte === 0)) return copy.subarray(0, start);
      return copy.fill(0, start, end);
    }
    case 'block-duplicated': {
      const { start, end } = block();
      return joined(copy.subarray(0, end), copy.subarray(start));
    }
    case 'length-overwritten': {
      const length = integer(2) === 0 ? 2 : 4;
      const start = integer(Math.max(1, Math.min(HEADER_BYTES, bytes.length) - length + 1));
      const value = noise(length).subarray(0, bytes.length - start);
      if (value.every((byte, i) => byte === bytes[start + i])) value[0]! ^= 1 + (bits() & 127);
      copy.set(value, start);
      return copy;
    }
    case 'garbage-appended':
      return joined(copy, noise(1 + integer(4096)));
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

/** CPU time of this process in ms: unlike the clock it does not depend on what else the machine is doing. */
export function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Runs bodies one after the other; returns the longest in seconds of CPU time and the growth of memory in MB. */
export async function costOf(bodies: Iterable<() => Promise<void>>) {
  const before = process.memoryUsage.rss();
  let seconds = 0;
  let peak = before;
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 5);
  for (const body of bodies) {
    const start = cpuTime();
    await body();
    seconds = Math.max(seconds, (cpuTime() - start) / 1000);
    peak = Math.max(peak, process.memoryUsage.rss());
  }
  clearInterval(watch);
  return { seconds, megabytes: (peak - before) / 2 ** 20 };
}
