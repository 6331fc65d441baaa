// Checks the files of a submission that someone else made: every finding, with file and line, and not only the first.
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { codeOf, MAX_BYTES, messageOf, readRegularFile, UserError } from '@ct-ensemble/core';
import { answerAgreement, predictionsOf } from '@ct-ensemble/evaluation';
import { didYouMean, safeFileNames } from '../names.ts';
import type { Expected } from './submission.ts';

export interface SubmissionFinding {
  /** `error`: the submission is not valid. `note`: readers of this project accept it, other readers may not. */
  level: 'error' | 'note';
  /** Null if the finding is about the whole submission. */
  file: string | null;
  /** From 1; null if the finding is not about one line. */
  line: number | null;
  message: string;
}

export interface CheckedSubmission {
  /** Its folder. */
  folder: string;
  files: string[];
  /** Scans in each class, in the order of the classes; what the files say, right or wrong. */
  counts: { class: string; scans: number }[];
  /** Expected scans that are named exactly once: key is the scan's name, value the index of its class. */
  answers: Map<string, number>;
  findings: SubmissionFinding[];
}

/** How two submissions agree on the scans that both name exactly once. */
export interface SubmissionAgreement {
  a: string;
  b: string;
  scans: number;
  /** Share of these scans that are in the same class, 0 … 1; null without scans. */
  share: number | null;
  /** Cohen's kappa; null if it is undefined. */
  kappa: number | null;
}

/**
 * Checks submissions. A path is the folder of a submission, or one of its files; files of one folder are one submission.
 * @throws UserError if a path does not exist.
 */
export async function checkSubmissions(
  paths: readonly string[],
  expected: Expected,
): Promise<{ submissions: CheckedSubmission[]; agreement: SubmissionAgreement[] }> {
  const folders = new Map<string, string[]>();
  for (const path of paths) {
    const kind = await stat(path).catch((error: unknown) => {
      const problem = codeOf(error) === 'ENOENT' ? 'there is no such file or folder' : messageOf(error);
      throw new UserError(problem, { file: path, remedy: 'name the files or the folder of a submission' });
    });
    const folder = kind.isDirectory() ? path : dirname(path);
    const files = kind.isDirectory() ? await csvFiles(path) : [path];
    folders.set(folder, [...new Set([...(folders.get(folder) ?? []), ...files])]);
  }
  const submissions: CheckedSubmission[] = [];
  for (const [folder, files] of folders) submissions.push(await checkOne({ folder, files }, expected));
  const agreement = submissions.flatMap((a, i) =>
    submissions.slice(i + 1).map((b) => agreementOf(a, b, expected.classes.length)),
  );
  return { submissions, agreement };
}

const csvFiles = async (folder: string) =>
  (await readdir(folder, { withFileTypes: true }))
    .filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.') && entry.name !== 'summary.json')
    .map(({ name }) => join(folder, name))
    .sort();

async function checkOne(
  { folder, files }: { folder: string; files: readonly string[] },
  { classes, scans }: Expected,
): Promise<CheckedSubmission> {
  const findings: SubmissionFinding[] = [];
  const names = safeFileNames(classes).map((name) => `${name}.csv`);
  const places = new Map<string, Place[]>();
  const counts = classes.map((name) => ({ class: name, scans: 0 }));
  for (const file of files) {
    const label = names.findIndex((name) => name === basename(file));
    if (label >= 0) continue;
    const near = names.findIndex((name) => name.toLowerCase() === basename(file).toLowerCase());
    const wanted = near >= 0 ? `: the name must be ${names[near]}` : didYouMean(basename(file), names);
    findings.push(error(file, null, `is the file of no class${wanted}; the files are ${names.join(', ')}`));
  }
  for (const [label, name] of names.entries()) {
    const file = files.find((path) => basename(path) === name);
    if (file === undefined) {
      findings.push(
        error(null, null, `the file ${name} is missing; a class without scans needs an empty file`),
      );
      continue;
    }
    const listed = await namesIn(file, findings);
    counts[label]!.scans = listed.length;
    for (const { scan, line } of listed)
      places.set(scan, [...(places.get(scan) ?? []), { file, line, label }]);
  }
  const known = new Set(scans);
  const answers = new Map<string, number>();
  for (const [scan, where] of places) {
    const [first, ...others] = where as [Place, ...Place[]];
    if (!known.has(scan)) {
      const message = `${shown(scan)} is no scan of the data set${didYouMean(scan, scans)}`;
      findings.push(error(first.file, first.line, message));
    } else if (others.length === 0) answers.set(scan, first.label);
    for (const { file, line, label } of others) {
      const earlier = `line ${first.line} of ${basename(first.file)}`;
      const message =
        label === first.label
          ? `${shown(scan)} is named twice in this class, before in ${earlier}`
          : `${shown(scan)} is in two classes, ${classes[first.label]} (${earlier}) and ${classes[label]}`;
      findings.push(error(file, line, message));
    }
  }
  for (const scan of known)
    if (!places.has(scan)) findings.push(error(null, null, `${shown(scan)} is missing: it is in no class`));
  return { folder, files: [...files], counts, answers, findings };
}

interface Place {
  file: string;
  line: number;
  label: number;
}

const error = (file: string | null, line: number | null, message: string): SubmissionFinding => ({
  level: 'error',
  file,
  line,
  message,
});
const shown = (name: string) => (/[\p{Cc}]|^\s|\s$/u.test(name) ? JSON.stringify(name) : name);

/** The names in a file of any of the three dialects, with their lines; what is wrong with the file is added to the findings. */
async function namesIn(
  file: string,
  findings: SubmissionFinding[],
): Promise<{ scan: string; line: number }[]> {
  const add = (level: SubmissionFinding['level'], line: number | null, message: string) =>
    void findings.push({ level, file, line, message });
  let bytes: Uint8Array;
  try {
    bytes = await readRegularFile(file, { maxBytes: MAX_BYTES.table });
  } catch (problem) {
    add('error', null, `cannot be read (${messageOf(problem)})`);
    return [];
  }
  const isUtf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  if (isUtf16 || bytes.includes(0)) {
    add('error', null, 'is not UTF-8 text but UTF-16 or binary: save it as UTF-8');
    return [];
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    add('error', null, 'is not UTF-8 text: save it as UTF-8');
    return [];
  }
  if (text.startsWith('\uFEFF')) add('note', null, 'begins with a byte order mark');
  if (/\r\n/.test(text)) add('note', null, 'has Windows line ends (CR LF)');
  else if (/\r/.test(text)) add('note', null, 'has line ends of old Macintosh systems (CR)');
  if (text !== '' && !/[\r\n]$/.test(text)) add('note', null, 'has no line end after the last line');
  const rows = text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\r|\n/)
    .map((line, i) => ({
      line: i + 1,
      cells: line.split(',').map((cell) => cell.trim().replaceAll('"', '')),
    }))
    .map(({ line, cells }) => ({ line, cells: cells.filter((cell) => cell !== '') }))
    .filter(({ cells }) => cells.length > 0);
  if (text.includes('"')) add('note', null, 'has quotes around names');
  const first = rows[0]?.cells[0];
  if (first !== undefined && first.toLowerCase() === 'patient') {
    add('note', rows[0]!.line, `has the header ${first}`);
    rows[0]!.cells.shift();
  }
  const filled = rows.filter(({ cells }) => cells.length > 0);
  const wide = filled.find(({ cells }) => cells.length > 1);
  if (wide !== undefined && filled.length > 1)
    add(
      'error',
      wide.line,
      `names ${wide.cells.length} scans, and the file has other lines: write one scan a line, or all in one line`,
    );
  else if (wide !== undefined) add('note', wide.line, 'has all names in one line');
  return filled.flatMap(({ line, cells }) => cells.map((scan) => ({ scan, line })));
}

function agreementOf(a: CheckedSubmission, b: CheckedSubmission, classes: number): SubmissionAgreement {
  const common = [...a.answers.keys()].filter((scan) => b.answers.has(scan));
  const about = { a: a.folder, b: b.folder, scans: common.length };
  if (common.length === 0) return { ...about, share: null, kappa: null };
  const rowOf = ({ answers }: CheckedSubmission) =>
    predictionsOf({
      classes,
      labels: common.map(() => 0),
      probabilities: common.map((scan) =>
        Array.from({ length: classes }, (_, k) => Number(answers.get(scan) === k)),
      ),
    });
  return { ...about, ...answerAgreement(rowOf(a), rowOf(b)) };
}
