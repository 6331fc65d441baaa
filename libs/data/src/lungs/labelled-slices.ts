// Training data of the slice filter: slices labelled lung or non-lung by a table, or by lung masks.
import { existsSync } from 'node:fs';
import { dirname, extname, join, relative } from 'node:path';
import { UserError } from '@ct-ensemble/core';
import { mapConcurrent } from '../concurrent.ts';
import { maskedSlices, readSlice } from './lung-pairs.ts';
import { atEdge, type SliceSamples } from './slice-samples.ts';
import { columnsOf, headerError, readRows } from '../tables.ts';

export interface LabelledSlicesOptions {
  /** Folder that holds the slices. */
  data: string;
  /** Height and width of the network's input in pixels. */
  edge: number;
  /** The table, CSV or XLSX; without it the labels come from lung masks. */
  labels?: string;
  /**
   * Columns whose cells, joined by `/`, name the slice's file relative to `data`; the file extension may be missing.
   * Default: `file`, or `scan` and `slice`.
   */
  fileColumns?: readonly string[];
  /** Column that holds the class. Default `class`. */
  classColumn?: string;
}

const LABELS = new Map([['lung', 1], ['non-lung', 0]]); // prettier-ignore

/** A slice with a mask is labelled lung if the mask covers at least this share of it, non-lung if the mask is empty. */
export const MIN_LUNG_SHARE = 0.01;

/**
 * Reads slices at network size with their label: `truth` is one value, 1 for lung. Slices of other classes are left out
 * and counted, and so are slices whose mask covers less than a hundredth without being empty. With a table the group of a
 * slice is its folder.
 * @throws {UserError} naming the file and the line, if a column is missing, a slice does not exist, cannot be read or is
 * listed twice, or one of the two classes has no slice.
 */
export async function readLabelledSlices(options: LabelledSlicesOptions): Promise<SliceSamples> {
  const read = options.labels === undefined ? await fromMasks(options) : await fromTable(options);
  for (const [name, label] of LABELS) {
    if (read.samples.some(({ truth }) => truth[0] === label)) continue;
    throw new UserError(`no slice is ${name}`, {
      file: options.labels ?? options.data,
      remedy: 'a filter learns from slices with and without lung: add some',
    });
  }
  return read;
}

async function fromMasks({ data, edge }: LabelledSlicesOptions): Promise<SliceSamples> {
  const read: SliceSamples = { samples: [], leftOut: {}, findings: [] };
  for await (const { name, group, image, mask } of maskedSlices(data, read.findings)) {
    const area = mask.data.reduce((sum, value) => sum + (value > 0 ? 1 : 0), 0);
    if (area > 0 && area < MIN_LUNG_SHARE * mask.data.length) leaveOut(read, 'little lung');
    else
      read.samples.push({ name, group, image: atEdge(image, edge), truth: Uint8Array.of(area > 0 ? 1 : 0) });
  }
  return read;
}

async function fromTable(options: LabelledSlicesOptions): Promise<SliceSamples> {
  const { data, edge } = options;
  const read: SliceSamples = { samples: [], leftOut: {}, findings: [] };
  const chosen = await readTable(options, read);
  read.samples = await mapConcurrent(chosen, 4, async ({ file, label }) => ({
    name: relative(data, file),
    group: relative(data, dirname(file)) || '.',
    image: atEdge(await readSlice(file), edge),
    truth: Uint8Array.of(label),
  }));
  return read;
}

async function readTable(options: LabelledSlicesOptions, read: SliceSamples) {
  const { data, fileColumns } = options;
  const table = options.labels!;
  const classColumn = options.classColumn ?? 'class';
  const [header, ...rows] = await readRows(table);
  const candidates = fileColumns === undefined ? [['file'], ['scan', 'slice']] : [fileColumns];
  const columns = candidates.map((names) => columnsOf(header, names)).find((found) => found !== undefined);
  const [ofClass] = columnsOf(header, [classColumn]) ?? [];
  if (columns === undefined || ofClass === undefined) {
    const wanted = candidates.map((names) => names.join(',')).join(' or ');
    throw headerError(
      table,
      header,
      `${wanted}, and ${classColumn} (or name the columns by --file-columns and --class-column)`,
    );
  }
  const seen = new Map<string, number>();
  const chosen: { file: string; label: number }[] = [];
  for (const { line, cells } of rows) {
    const name = columns.map((column) => cells[column] ?? '').join('/');
    const given = cells[ofClass] ?? '';
    const fail = (problem: string, remedy: string) =>
      new UserError(`line ${line}: ${problem}`, { file: table, remedy });
    if (given === '') throw fail(`no ${classColumn}`, 'write lung, non-lung or another word');
    if (seen.has(name))
      throw fail(`${name} is already listed in line ${seen.get(name)}`, 'remove one of them');
    seen.set(name, line);
    const label = LABELS.get(given.toLowerCase());
    if (label === undefined) {
      leaveOut(read, given);
      continue;
    }
    const file = fileOf(join(data, name));
    if (file === undefined)
      throw fail(`there is no slice ${join(data, name)}`, 'give the folder that the names are relative to');
    chosen.push({ file, label });
  }
  return chosen;
}

function fileOf(path: string): string | undefined {
  if (/\.(png|jpe?g)$/i.test(extname(path))) return existsSync(path) ? path : undefined;
  return ['.jpg', '.jpeg', '.png'].map((ending) => path + ending).find((file) => existsSync(file));
}

/** Counts a slice that is left out. */
function leaveOut({ leftOut }: SliceSamples, reason: string) {
  leftOut[reason] = (leftOut[reason] ?? 0) + 1;
}
