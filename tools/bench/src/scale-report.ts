// The table of bench:scale.
import type { Measured } from './scale-measure.ts';

export interface ScaleRow extends Measured {
  quantity: string;
  scans?: number;
  members?: number;
  /** What the measured program printed. */
  note: string;
}

/** A table in Markdown, a row for each measurement. */
export function scaleTable(rows: readonly ScaleRow[]): string {
  const header = ['', 'scans', 'members', 'CPU seconds', 'peak memory', 'file operations'];
  const cells = rows.map(({ quantity, scans, members, cpuSeconds, peakBytes, fileOperations }) => [
    quantity,
    scans === undefined ? '–' : grouped(scans),
    members === undefined ? '–' : grouped(members),
    cpuSeconds.toFixed(cpuSeconds < 10 ? 2 : 1),
    `${Math.round(peakBytes / 1e6)} MB`,
    grouped(fileOperations),
  ]);
  const lines = [header, header.map(() => '---'), ...cells];
  return lines.map((line) => `| ${line.join(' | ')} |`).join('\n');
}

/** `100 000`: groups of three digits with narrow spaces, from five digits on. */
const grouped = (value: number) =>
  value < 10_000 ? String(value) : String(value).replace(/\B(?=(\d{3})+$)/g, '\u202f');
