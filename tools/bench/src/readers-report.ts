// The table of bench:readers.
import { median, quantile } from './statistics.ts';

/** One turn of both sides on one series; times in seconds. */
export interface ReaderTurn {
  here: { seconds: number; cpu: number };
  peer: { seconds: number; cpu: number };
  /** Wall time here for `workers` series at the same time, in a worker thread each. */
  together: number;
}

export interface ReaderRow {
  name: string;
  /** Megabytes of the files. */
  megabytes: number;
  /** Of pydicom; null if it needs none. */
  plugin: string | null;
  turns: readonly ReaderTurn[];
}

/** Ours reads at no less than this share of pydicom's speed. */
export const TARGET = 0.5;

/** Medians of the turns' ratios, peer / here: above 1 if this project is faster. */
export function ratiosOf(turns: readonly ReaderTurn[], workers: number) {
  const wall = turns.map(({ here, peer }) => peer.seconds / here.seconds);
  return {
    wall: median(wall),
    quartiles: [quantile(wall, 0.25), quantile(wall, 0.75)] as const,
    cpu: median(turns.map(({ here, peer }) => peer.cpu / here.cpu)),
    together: median(turns.map(({ peer, together }) => (workers * peer.seconds) / together)),
  };
}

/** The rows as a Markdown table. */
export function readersTable(rows: readonly ReaderRow[], workers: number): string {
  const head = [
    'transfer syntax', 'files', 'here', 'pydicom', 'its fastest plug-in', 'ratio', 'of CPU seconds',
    `${workers} series at a time`, 'target', 'met',
  ]; // prettier-ignore
  const lines = rows.map(({ name, megabytes, plugin, turns }) => {
    const { wall, quartiles, cpu, together } = ratiosOf(turns, workers);
    const seconds = (side: 'here' | 'peer') =>
      `${median(turns.map((turn) => turn[side].seconds)).toFixed(2)} s`;
    const spread = quartiles.map((ratio) => ratio.toFixed(2)).join('–');
    return [
      name, `${megabytes.toFixed(0)} MB`, seconds('here'), seconds('peer'), plugin ?? '–',
      `${wall.toFixed(2)} (${spread})`, cpu.toFixed(2), together.toFixed(2), `≥ ${TARGET.toFixed(2)}`,
      wall >= TARGET ? 'yes' : 'no',
    ]; // prettier-ignore
  });
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
