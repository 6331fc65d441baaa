// The folders submissions/ and predictions/ of a run: after each submission they hold what summary.json lists and nothing older.
import { readdir, rm, rmdir } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { codeOf, MAX_BYTES, readRegularText, UserError, writeJson } from '@ct-ensemble/core';
import { isSafeName } from '../names.ts';
import { predictionsFile, submissionFolder, summaryFile } from '../run-folder.ts';
import { classFiles } from './submission.ts';

/** One submission's files. */
export interface SubmissionFiles {
  name: string;
  /** Its class files and its table, as paths. */
  files: readonly string[];
}

export interface FolderUpdate {
  run: string;
  /** Everything that is to be there. */
  wanted: readonly SubmissionFiles[];
  /** The names of all submissions of the recipe, with those that are not written, and the classes. */
  recipe: { submissions: readonly string[]; classes: readonly string[] };
  /** Writes the wanted files. */
  write: () => Promise<void>;
  /** The content of summary.json. */
  summary: unknown;
}

/** While submissions are written, this file lists every file of this program that may be there. */
const journalFile = (run: string) => join(run, 'submissions', '.writing.json');

/**
 * Removes the files of earlier submissions that are not wanted any more, writes the wanted ones and, last, summary.json.
 * Removed are only files that this program has written: those listed in the earlier summary.json, the class files and tables
 * of the recipe's submissions, and what an interrupted update had listed. There is no summary.json while files change, and
 * an update that was interrupted at any point is completed by the next one.
 *
 * @returns the files and folders that this program has not written; they are left where they are.
 * @throws UserError, before anything is changed, if the folder of a wanted submission holds CSV files of unknown origin.
 */
export async function updateSubmissions(update: FolderUpdate): Promise<string[]> {
  const { run, wanted, recipe, write, summary } = update;
  const wantedFiles = new Set(wanted.flatMap(({ files }) => files));
  const known = new Set([...wantedFiles, ...(await earlierFiles(run)), ...filesOf(run, recipe)]);
  const unknown = (await present(run)).filter((file) => !known.has(file));
  const foreign = unknown.filter(
    (file) =>
      /\.csv$/i.test(file) && wanted.some(({ name }) => submissionFolder(run, name) === join(file, '..')),
  );
  if (foreign.length > 0) {
    const folder = join(foreign[0]!, '..');
    const names = foreign.filter((file) => join(file, '..') === folder).map((file) => basename(file));
    throw new UserError(`holds ${names.sort().join(', ')}, no class of this submission`, {
      file: folder,
      remedy: 'move these files away',
    });
  }
  await writeJson(journalFile(run), { files: [...known].map((file) => relative(run, file)).sort() });
  await rm(summaryFile(run), { force: true });
  for (const file of known) if (!wantedFiles.has(file)) await rm(file, { force: true });
  for (const entry of await entries(join(run, 'submissions'))) {
    if (!entry.isDirectory() || wanted.some(({ name }) => name === entry.name)) continue;
    if ([...known].some((file) => join(file, '..') === submissionFolder(run, entry.name)))
      await removeIfEmpty(submissionFolder(run, entry.name));
  }
  await write();
  await writeJson(summaryFile(run), summary);
  await rm(journalFile(run), { force: true });
  return unknown;
}

const filesOf = (run: string, { submissions, classes }: FolderUpdate['recipe']) =>
  submissions.flatMap((name) => [
    ...classFiles(submissionFolder(run, name), classes),
    predictionsFile(run, name),
  ]);

/** The files that the earlier summary.json and the list of an interrupted update name; anything else in them is ignored. */
async function earlierFiles(run: string): Promise<string[]> {
  const { submissions } = Object(await jsonIn(summaryFile(run))) as { submissions?: unknown };
  const listed = (Array.isArray(submissions) ? submissions : []).flatMap((submission: unknown) => {
    const { name, files } = Object(submission) as { name?: unknown; files?: unknown };
    if (!isName(name)) return [];
    // The paths were relative to the folder of the command that wrote them; their last part is what counts.
    const csv = (Array.isArray(files) ? files : []).filter((file) => typeof file === 'string').map(baseOf);
    const own = csv.filter(isCsv).map((file) => join(submissionFolder(run, name), file));
    return [...own, predictionsFile(run, name)];
  });
  const { files } = Object(await jsonIn(journalFile(run))) as { files?: unknown };
  const interrupted = (Array.isArray(files) ? files : []).flatMap((file: unknown) => {
    const [folder, ...rest] = typeof file === 'string' ? file.split(/[\\/]/) : [];
    const [last, name] = [rest.at(-1), rest[0]];
    if (!isCsv(last)) return [];
    if (folder === 'predictions' && rest.length === 1) return [join(run, folder, last)];
    return folder === 'submissions' && rest.length === 2 && isName(name)
      ? [join(run, folder, name, last)]
      : [];
  });
  return [...listed, ...interrupted];
}

const baseOf = (file: string) => file.split(/[\\/]/).at(-1)!;
const isName = (name: unknown): name is string => typeof name === 'string' && isSafeName(name);
const isCsv = (file: unknown): file is string =>
  typeof file === 'string' && file.endsWith('.csv') && isSafeName(file.slice(0, -4));

/** The content of a JSON file that is only looked at; undefined if it is missing or damaged. */
async function jsonIn(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readRegularText(file, { maxBytes: MAX_BYTES.record }));
  } catch (error) {
    if (error instanceof SyntaxError || codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Every file in both folders, except summary.json and names with a leading dot. A folder that no submission can have is
 * one entry.
 */
async function present(run: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await entries(join(run, 'submissions'))) {
    const path = join(run, 'submissions', entry.name);
    if (path === summaryFile(run)) continue;
    if (!entry.isDirectory()) found.push(path);
    else for (const inner of await entries(path)) found.push(join(path, inner.name));
  }
  for (const { name } of await entries(join(run, 'predictions'))) found.push(join(run, 'predictions', name));
  return found;
}

async function entries(folder: string) {
  try {
    const all = await readdir(folder, { withFileTypes: true });
    return all.filter(({ name }) => !name.startsWith('.')).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

async function removeIfEmpty(folder: string) {
  try {
    await rmdir(folder);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(codeOf(error) ?? '')) throw error;
  }
}
