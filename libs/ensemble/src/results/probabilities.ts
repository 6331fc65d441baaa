// Softmax outputs of members and ensembles: their file, their checks, their mean.
import { MAX_BYTES, readJson, readRegularText, UserError, writeFileAtomic } from '@ct-ensemble/core';
import { z } from 'zod';
import { argmax } from '@ct-ensemble/evaluation';

export interface ScanLabel {
  /** Unique in the data set, e.g. `val/a/scan_3`. */
  key: string;
  /** The scan's folder name, which a submission lists. */
  name: string;
  /** Index into `classes`; null if the class is not known. */
  label: number | null;
}

/** A scan that has no probabilities, and why. */
export interface FailedScan extends ScanLabel {
  reason: string;
}

/**
 * One member's (or an ensemble's) softmax outputs for the scans of one split: `rows[i]` belongs to `scans[i]`, its
 * columns follow `classes`. Every row is finite, in [0, 1] and sums to 1 within 1e-4.
 */
export interface Probabilities {
  classes: string[];
  split: 'val' | 'test';
  scans: ScanLabel[];
  rows: number[][];
  failed: FailedScan[];
  /** The test-time augmentation that the rows were made with, see `augmentationName`; absent: none. */
  augmentation?: string;
}

const scanShape = { key: z.string().min(1), name: z.string().min(1), label: z.int().min(0).nullable() };
const fileSchema = z.strictObject({
  split: z.enum(['val', 'test']),
  classes: z.array(z.string().min(1)).min(2),
  augmentation: z.string().min(1).optional(),
  scans: z.array(z.strictObject({ ...scanShape, probabilities: z.array(z.unknown()) })),
  failed: z.array(z.strictObject({ ...scanShape, reason: z.string() })),
});

/**
 * Writes probabilities as JSON, one scan a line, atomically.
 * @throws UserError naming the file and the scan when `p` breaks a rule of {@link Probabilities}; nothing is written.
 */
export async function writeProbabilities(path: string, p: Probabilities): Promise<void> {
  checkProbabilities(p, path);
  const lines = (items: unknown[]) =>
    items.length === 0 ? '[]' : `[\n${items.map((item) => `    ${JSON.stringify(item)}`).join(',\n')}\n  ]`;
  const scans = p.scans.map(({ key, name, label }, i) => ({ key, name, label, probabilities: p.rows[i] }));
  const failed = p.failed.map(({ key, name, label, reason }) => ({ key, name, label, reason }));
  const fields = [
    `"split": ${JSON.stringify(p.split)}`,
    `"classes": ${JSON.stringify(p.classes)}`,
    ...(p.augmentation === undefined ? [] : [`"augmentation": ${JSON.stringify(p.augmentation)}`]),
    `"scans": ${lines(scans)}`,
    `"failed": ${lines(failed)}`,
  ];
  await writeFileAtomic(path, `{\n  ${fields.join(',\n  ')}\n}\n`);
}

/** How a member's probabilities are written anew. */
export const predictAnew =
  'start the training again, or nx run trainer:predict, which trains nothing: the scans are predicted anew';

/** @throws UserError naming the file, the field, the scan and the value when the file is absent or breaks a rule. */
export async function readProbabilities(path: string): Promise<Probabilities> {
  const json = await readNumbers(path);
  if (json === undefined)
    throw new UserError('there is no such file of probabilities', { file: path, remedy: predictAnew });
  const parsed = fileSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new UserError(`is no file of probabilities: ${issue.path.join('.')}: ${issue.message}`, {
      file: path,
      remedy: predictAnew,
    });
  }
  const { split, classes, scans, failed, augmentation } = parsed.data;
  const p: Probabilities = {
    classes,
    split,
    scans: scans.map(({ key, name, label }) => ({ key, name, label })),
    rows: scans.map(({ key, probabilities }) =>
      probabilities.map((value, i) => {
        if (typeof value === 'number' && Number.isFinite(value)) return value;
        const shown = typeof value === 'number' ? String(value) : JSON.stringify(value);
        throw new UserError(notFinite({ key, of: classes[i] ?? `column ${i + 1}`, shown }), {
          file: path,
          remedy: predictAnew,
        });
      }),
    ),
    failed,
    ...(augmentation !== undefined && { augmentation }),
  };
  checkProbabilities(p, path, predictAnew);
  return p;
}

const notFinite = ({ key, of, shown }: { key: string; of: string; shown: string }) =>
  `scan ${key}: the probability of ${of} is ${shown}, not a finite number`;

/** Reads JSON. Numbers that JSON does not have but some programs write are reported with their scan. */
async function readNumbers(path: string): Promise<unknown> {
  try {
    return await readJson(path);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const scans = (await readRegularText(path, { maxBytes: MAX_BYTES.record })).split(/[{}]/);
    for (const scan of scans) {
      const key = /"key"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(scan)?.[1];
      const shown = /[[,:]\s*(NaN|[+-]?(?:Infinity|inf|nan))\s*[\],]/.exec(scan)?.[1];
      if (key === undefined || shown === undefined) continue;
      throw new UserError(`scan ${JSON.parse(key)}: a probability is ${shown}, not a finite number`, {
        file: path,
        remedy: predictAnew,
        cause: error,
      });
    }
    throw error;
  }
}

/**
 * The ensemble: the mean of the members' probabilities, in float64, aligned by scan key, in the first member's order.
 * `names` are the members' names for errors (default: `member 1`, …).
 * @throws UserError naming the member and the scan when members disagree in classes, split, scans, labels or failures.
 */
export function meanProbabilities(
  members: readonly Probabilities[],
  names: readonly string[] = members.map((_, i) => `member ${i + 1}`),
): Probabilities {
  const first = members[0];
  if (first === undefined) throw new UserError('An ensemble needs at least one member');
  members.forEach((member, m) => checkProbabilities(member, names[m]));
  const rows = first.scans.map(() => first.classes.map(() => 0));
  for (const [m, member] of members.entries()) {
    if (m > 0) checkAgreement([first, names[0]!], [member, names[m]!]);
    const rowOf = rowsInOrderOf(first, member);
    for (const [i, sums] of rows.entries()) {
      const row = rowOf(i);
      for (let c = 0; c < sums.length; c++) sums[c]! += row[c]!;
    }
  }
  for (const sums of rows) for (let c = 0; c < sums.length; c++) sums[c]! /= members.length;
  return {
    classes: [...first.classes],
    split: first.split,
    scans: first.scans.map((scan) => ({ ...scan })),
    rows,
    failed: first.failed.map((scan) => ({ ...scan })),
  };
}

/** The rows of a member that agrees with the first one, by the positions of the first one's scans. */
function rowsInOrderOf(first: Probabilities, { scans, rows }: Probabilities): (i: number) => number[] {
  if (scans === first.scans || first.scans.every(({ key }, i) => scans[i]!.key === key))
    return (i) => rows[i]!;
  const byKey = new Map(scans.map(({ key }, i) => [key, rows[i]!]));
  return (i) => byKey.get(first.scans[i]!.key)!;
}

/** The predicted class index of each scan of `p.scans`. A tie goes to the lower index. */
export function predictions(p: Probabilities): number[] {
  return p.rows.map(argmax);
}

/**
 * The class that stands in for scans without probabilities: the one predicted most often; the first of equals.
 * Without any prediction it is the first class.
 */
export function majorityClass(p: Probabilities): number {
  const counts = p.classes.map(() => 0);
  for (const label of predictions(p)) counts[label]! += 1;
  return argmax(counts);
}

/** @throws UserError naming the source and the scan at the first broken rule. */
function checkProbabilities(p: Probabilities, source: string | undefined, remedy?: string) {
  const refuse = (problem: string): never => {
    throw new UserError(problem, {
      ...(source !== undefined && { file: source }),
      ...(remedy !== undefined && { remedy }),
    });
  };
  const doubledClass = p.classes.find((name, i) => p.classes.indexOf(name) !== i);
  if (doubledClass !== undefined) refuse(`class "${doubledClass}" appears twice`);
  if (p.rows.length !== p.scans.length) refuse(`${p.scans.length} scans, but ${p.rows.length} rows`);
  const seen = new Set<string>();
  for (const { key, label } of [...p.scans, ...p.failed]) {
    if (seen.has(key)) refuse(`scan ${key} appears twice`);
    seen.add(key);
    if (label !== null && p.classes[label] === undefined) {
      refuse(`scan ${key}: label ${label} is no index of the classes ${p.classes.join(', ')}`);
    }
  }
  p.scans.forEach(({ key }, i) => {
    const row = p.rows[i]!;
    const text = () => `[${row.join(', ')}]`;
    if (row.length !== p.classes.length) {
      refuse(`scan ${key}: ${row.length} probabilities ${text()} for ${p.classes.length} classes`);
    }
    if (!row.every((value) => value >= 0 && value <= 1)) {
      refuse(`scan ${key}: probabilities ${text()} are not all within 0 and 1`);
    }
    const sum = row.reduce((total, value) => total + value, 0);
    if (Math.abs(sum - 1) > 1e-4) refuse(`scan ${key}: probabilities ${text()} sum to ${sum}, not 1`);
  });
}

type Named = readonly [Probabilities, string];

function checkAgreement([first, firstName]: Named, [other, otherName]: Named) {
  const refuse = (problem: string): never => {
    throw new UserError(`${firstName} and ${otherName} cannot be averaged: ${problem}`, {
      remedy: 'predict with both members on the same scans',
    });
  };
  if (first.split !== other.split) refuse(`split ${first.split} against ${other.split}`);
  if (first.classes.join() !== other.classes.join()) {
    refuse(`classes ${first.classes.join(', ')} against ${other.classes.join(', ')}`);
  }
  for (const list of ['scans', 'failed'] as const) {
    if (first[list] === other[list]) continue;
    const have = list === 'scans' ? 'probabilities for' : 'a failure of';
    const theirs = new Map(other[list].map((scan) => [scan.key, scan]));
    for (const { key, name, label } of first[list]) {
      const their = theirs.get(key);
      if (their === undefined) return refuse(`only ${firstName} has ${have} scan ${key}`);
      if (their.name !== name) refuse(`scan ${key} is named ${name} against ${their.name}`);
      if (their.label !== label) refuse(`scan ${key} has label ${label} against ${their.label}`);
      theirs.delete(key);
    }
    for (const key of theirs.keys()) refuse(`only ${otherName} has ${have} scan ${key}`);
  }
}
