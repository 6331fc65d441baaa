// How numbers and lists are written in sentences and tables.
import type { ReportSplit } from '../input/run-input.ts';
import type { ScoreWithInterval } from './report-model.ts';

/** A score with three decimals; a dash where it is undefined. */
export const scoreText = (value: number | null): string => (value === null ? '–' : value.toFixed(3));

/** `0.901 (95 % interval 0.871 to 0.926)`. */
export function withInterval({ estimate, interval }: ScoreWithInterval): string {
  if (interval === null) return `${scoreText(estimate)} (no interval)`;
  return `${scoreText(estimate)} (95 % interval ${scoreText(interval[0])} to ${scoreText(interval[1])})`;
}

/** `1 scan`, `2 scans`. */
export const counted = (count: number, thing: string): string =>
  `${count} ${count === 1 ? thing : `${thing}s`}`;

/** `a, b and c`. */
export function inWords(names: readonly string[]): string {
  if (names.length < 2) return names.join('');
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)!}`;
}

export const splitTitles: Record<ReportSplit, string> = {
  'out-of-fold': 'Out-of-fold scans',
  test: 'Test scans',
  val: 'Validation scans',
};

export const unlabelledTitle = (split: ReportSplit): string => `${splitTitles[split]} without a known class`;

/** In the middle of a sentence. */
export const splitScans: Record<ReportSplit, string> = {
  'out-of-fold': 'out-of-fold scan',
  test: 'test scan',
  val: 'validation scan',
};
