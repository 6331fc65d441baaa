// A submission as the COV19D competition takes it: one CSV file per class that lists scan names; every test scan exactly once.
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, MAX_BYTES, readRegularText, UserError, writeFileAtomic } from '@ct-ensemble/core';
import { didYouMean, safeFileNames } from '../names.ts';
import { doubled, list } from './lists.ts';
import { majorityClass, predictions, type Probabilities } from './probabilities.ts';

/** Class name → scan names. Class names are data: ask with `Object.hasOwn` and for the names of classes only. */
export type Submission = Record<string, string[]>;

/** What a submission must name: its classes, and every test scan. */
export interface Expected {
  classes: readonly string[];
  scans: readonly string[];
}

export interface SubmissionOptions {
  /** Class of the scans that have no probabilities. Default: the class predicted most often (`majorityClass`). */
  failedAs?: string;
}

/**
 * Puts every scan of `p` into the class of its greatest probability (a tie: the lower class), and the failed ones into
 * `failedAs`; {@link failedReport} lists them.
 * @throws UserError when `failedAs` is no class, or a scan name is doubled or cannot be written.
 */
export function makeSubmission(p: Probabilities, options: SubmissionOptions = {}): Submission {
  const failedAs = failedClass(p, options);
  const submission: Submission = Object.fromEntries(p.classes.map((name) => [name, []]));
  predictions(p).forEach((label, i) => submission[p.classes[label]!]!.push(p.scans[i]!.name));
  for (const scan of p.failed) submission[failedAs]!.push(scan.name);
  const scans = [...p.scans, ...p.failed].map((scan) => scan.name);
  checkSubmission(submission, { classes: p.classes, scans: [...new Set(scans)] });
  return submission;
}

/** One line per scan without probabilities: which, why, and the class it is submitted as. */
export function failedReport(p: Probabilities, options: SubmissionOptions = {}): string[] {
  const failedAs = failedClass(p, options);
  return p.failed.map(({ key, reason }) => `${key}: ${reason}; submitted as ${failedAs}`);
}

/** @throws UserError with every class and scan that is missing, doubled, unknown or cannot be written. */
export function checkSubmission(submission: Submission, expected: Expected): void {
  const names = Object.values(submission).flat();
  const named = new Set(names);
  const known = new Set(expected.scans);
  const classes = Object.keys(submission);
  const unknownClasses = classes
    .filter((name) => !expected.classes.includes(name))
    .map((name) => `${name}${didYouMean(name, expected.classes)}`);
  const problems = [
    list(
      'missing classes',
      expected.classes.filter((name) => !classes.includes(name)),
    ),
    list('unknown classes', unknownClasses),
    list(
      'missing scans',
      [...known].filter((name) => !named.has(name)),
    ),
    list('doubled scans', doubled(names)),
    list(
      'unknown scans',
      [...named].filter((name) => !known.has(name)),
    ),
    list(
      'scan names that a submission file cannot hold',
      [...named].filter((name) => !isWritable(name)).map((name) => JSON.stringify(name)),
    ),
    list('scans expected twice', doubled(expected.scans)),
  ].filter((problem) => problem !== undefined);
  if (problems.length > 0) {
    throw new UserError(`The submission is not valid: ${problems.join('; ')}`, {
      remedy: 'every test scan must appear once, in one class',
    });
  }
}

/**
 * Writes one CSV file per class, one name a line, no header; a class without scans gets an empty file. The file is
 * `<class>.csv`; for a class name that cannot be a file name, see {@link safeFileNames}. Checked before anything is written.
 * Class files of an earlier submission in the folder are removed first, so a crash leaves files missing, never a mix of two
 * submissions.
 * @returns the paths of the files, in the order of the classes.
 * @throws UserError like {@link checkSubmission}, and when the folder holds CSV files of other classes.
 */
export async function writeSubmission(
  folder: string,
  submission: Submission,
  expected: Expected,
): Promise<string[]> {
  checkSubmission(submission, expected);
  const files = classFiles(folder, expected.classes);
  const foreign = (await listFolder(folder)).filter(
    (name) => /^[^.].*\.csv$/i.test(name) && !files.includes(join(folder, name)),
  );
  if (foreign.length > 0) {
    throw new UserError(`holds ${foreign.sort().join(', ')}, no class of this submission`, {
      file: folder,
      remedy: 'move these files away or choose another folder',
    });
  }
  for (const file of files) await rm(file, { force: true });
  for (const [i, name] of expected.classes.entries())
    await writeFileAtomic(files[i]!, submission[name]!.map((scan) => `${scan}\n`).join(''));
  return files;
}

/**
 * Reads a submission in any of the three dialects: one name a line; the same below a header `patient`; all names in one
 * comma-separated row. A byte order mark, CRLF, blank lines, quotes and trailing commas are tolerated. The content is not
 * checked: see {@link checkSubmission}.
 * @throws UserError naming the file that is missing or in no dialect.
 */
export async function readSubmission(folder: string, classes: readonly string[]): Promise<Submission> {
  const files = classFiles(folder, classes);
  const scans = await Promise.all(files.map(readClass));
  return Object.fromEntries(classes.map((name, i) => [name, scans[i]!]));
}

async function readClass(file: string): Promise<string[]> {
  let text: string;
  try {
    text = await readRegularText(file, { maxBytes: MAX_BYTES.table });
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    throw new UserError('the submission lacks this file', {
      file,
      remedy: 'a class without scans needs an empty one',
      cause: error,
    });
  }
  // Names hold no comma and no quote, so splitting is all the parsing there is.
  const rows = text
    .replaceAll(/[\uFEFF"]/g, '')
    .split(/\r\n|\r|\n/)
    .map((line) => line.split(',').map((cell) => cell.trim()))
    .map((cells) => cells.filter((cell) => cell !== ''))
    .filter((cells) => cells.length > 0);
  if (rows[0] !== undefined && isHeader(rows[0][0]!)) rows[0].shift();
  const names = rows.filter((cells) => cells.length > 0);
  const wide = names.find((cells) => cells.length > 1);
  if (wide !== undefined && names.length > 1) {
    throw new UserError(
      `${names.length} rows, and one of them holds ${wide.length} names: ${wide.join(', ')}`,
      {
        file,
        remedy: 'write one scan name a line, or all in one row',
      },
    );
  }
  return names.flat();
}

/** Paths of the class files, in the order of the classes. */
export const classFiles = (folder: string, classes: readonly string[]) =>
  safeFileNames(classes).map((name) => join(folder, `${name}.csv`));
const isHeader = (cell: string) => cell.toLowerCase() === 'patient';

/** Whether a submission can list a scan of this name: whether the name survives all three dialects. */
export const isWritable = (name: string) =>
  name !== '' && name === name.trim() && !/[,"\r\n\uFEFF]/.test(name) && !isHeader(name);

function failedClass(p: Probabilities, { failedAs }: SubmissionOptions): string {
  if (failedAs === undefined) return p.classes[majorityClass(p)]!;
  if (p.classes.includes(failedAs)) return failedAs;
  throw new UserError(`Failed scans cannot go to "${failedAs}"${didYouMean(failedAs, p.classes)}`, {
    remedy: `choose one of the classes ${p.classes.join(', ')}`,
  });
}

async function listFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
