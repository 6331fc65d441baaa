// Reports the results of a benchmark as lines for the terminal and as a Markdown table.
import { UserError } from '@ct-ensemble/core';
import type { Target } from './cases.ts';
import type { Machine } from './machine.ts';
import type { CaseResult, Measurement, Pair } from './measure.ts';
import type { Settings } from './settings.ts';

export interface Report {
  /** Day of the run, such as 2026-11-23. */
  date: string;
  machine: Machine;
  cases: CaseResult[];
}

/** One line for each measurement, such as `RESULT one-member, step: 1.12 (…), target ≥ 1.10: met`. */
export function resultLines({ name, measurements, unmeasured, others }: CaseResult): string[] {
  const lines = measurements.map(({ quantity, ratio, quartiles, pairs, target, met }) => {
    const busy = `not judged, other programs took ${percent(others)} of the CPUs`;
    const verdict = met === null ? busy : met ? 'met' : 'missed';
    const goal = target === null ? 'no target' : `target ${targetText(target)}: ${verdict}`;
    const spread = quartiles === null ? '' : ` (quartiles ${spreadText(quartiles)}, ${pairs} pairs)`;
    return `RESULT ${name}, ${quantity}: ${ratio.toFixed(2)}${spread}, ${goal}`;
  });
  return [...lines, ...unmeasured.map((what) => `RESULT ${name}, not measured: ${what}`)];
}

/** The results as a Markdown table, after a line about the networks, libraries and machine. */
export function markdown({ date, machine, cases }: Report): string {
  const libraries = [...new Set(cases.flatMap(({ libraries }) => [libraries.here, libraries.peer]))];
  const networks = [...new Set(cases.map(({ settings }) => networkText(settings.here)))];
  const { cpu, cores, instructions, memoryGiB } = machine;
  const busiest = Math.max(...cases.map(({ others }) => others));
  const rows = cases.flatMap((one) => one.measurements.map((measured) => row(one, measured)));
  return [
    `${networks[0]}${networks.length > 1 ? ' where a row names no other network' : ''}. ${libraries.join('; ')}. ${cpu}, ${cores} cores ` +
      `(${instructions.join(', ')}), ${memoryGiB} GiB; other programs took at most ${percent(busiest)} of the CPUs in a case; ${date}.`,
    '',
    ...table(['case', 'what', 'here', 'peer', 'ratio', 'pairs', 'target', 'met'], rows),
    '',
    ...cases.flatMap(({ name, unmeasured }) => unmeasured.map((what) => `Not measured: ${name}, ${what}.`)),
    'Times are medians; a ratio is the median (and the quartiles) of the pairs’ ratios, peer / here: above 1 is faster here.',
    'For peak RSS and GPU memory it is here / peer: below 1 is less here.',
  ].join('\n');
}

function row({ name, what, settings, compute, stepsPerTurn }: CaseResult, measured: Measurement): string[] {
  const { here, peer, quantity, ratio, quartiles, pairs, target, met } = measured;
  const scans = (seconds: number) => (settings.here.members * settings.here.batch) / seconds;
  const value = {
    step: (seconds: number) => `${seconds.toFixed(3)} s, ${scans(seconds).toFixed(2)} scans/s`,
    'first step': (seconds: number) => `${seconds.toFixed(1)} s`,
    start: (seconds: number) => `${seconds.toFixed(1)} s`,
    'peak RSS': (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`,
    'GPU memory': (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`,
  }[quantity];
  const turns = stepsPerTurn === 1 || quantity !== 'step' ? '' : ` of ${stepsPerTurn} steps`;
  return [
    name,
    `${what}, ${settingsText(settings.here, compute)}: ${quantity}`,
    value(here),
    value(peer),
    `${ratio.toFixed(2)}${quartiles === null ? '' : ` (${spreadText(quartiles)})`}`,
    `${pairs}${turns}`,
    target === null ? '–' : targetText(target),
    target === null ? '–' : met === null ? 'machine busy' : met ? 'yes' : 'no',
  ];
}

function settingsText({ batch, members, threads, device }: Settings, compute: Pair<string>): string {
  const numbers = compute.here === compute.peer ? compute.here : `${compute.here} (peer: ${compute.peer})`;
  const count = `${threads} thread${threads === 1 ? '' : 's'}${members > 1 ? ' each' : ''}`;
  return `batch ${batch}, ${numbers}, ${device.kind === 'gpu' ? `GPU ${device.index}` : count}`;
}

const networkText = ({ architecture, views, depth, size }: Settings) =>
  views.length === 0
    ? `${architecture} on ${depth}×${size}×${size}`
    : `${architecture} behind ${views.map((slices) => `${slices}×${size}×${size}`).join(' and ')}`;

const targetText = ({ atLeast, atMost }: Target) =>
  atLeast === undefined ? `≤ ${atMost!.toFixed(2)}` : `≥ ${atLeast.toFixed(2)}`;

const percent = (share: number) => `${Math.round(share * 100)} %`;

const spreadText = (quartiles: readonly number[]) => quartiles.map((ratio) => ratio.toFixed(2)).join('–');

/** A Markdown table whose columns are padded as Prettier pads them. */
function table(header: readonly string[], rows: readonly string[][]): string[] {
  const widths = header.map((title, i) =>
    Math.max(3, title.length, ...rows.map((cells) => cells[i]!.length)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)];
}

const begin = '<!-- nx run engine:bench writes from here … -->';
const end = '<!-- … to here -->';

/**
 * The document with the table between its two marker lines; if `document` is undefined, a document that consists of the table.
 * `file` is named in errors.
 * @throws {UserError} if the document lacks the marker lines.
 */
export function withTable(document: string | undefined, text: string, file: string): string {
  const part = `${begin}\n\n${text}\n\n${end}`;
  if (document === undefined) return `${part}\n`;
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from < 0 || to < from) {
    throw new UserError('has no marker lines for the table', {
      file,
      remedy: `add the lines ${begin} and ${end}, or name a new file`,
    });
  }
  return document.slice(0, from) + part + document.slice(to + end.length);
}
