// A file of answers that grows by a line a scan, and that a later start continues.
import { appendFile, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  asUserError,
  type Claim,
  claimFolder,
  codeOf,
  MAX_BYTES,
  readRegularText,
  UserError,
  writeFileAtomic,
} from '@ct-ensemble/core';
import type { Answer } from '@ct-ensemble/ensemble';
import { type AnswerFormat, nameInLines } from './formats.ts';

export interface AnswerFile {
  /** Notes for the user about what the file held, a line each. */
  readonly notes: readonly string[];
  /** Whether the file has an answer for a scan of this name. */
  knows(scan: string): boolean;
  /** Whether it has an answer for a scan of this name with these contents. */
  has(scan: string, content: string | null): boolean;
  add(answer: Answer): Promise<void>;
  /** Aborted, with a UserError as reason, if another process works on the file. */
  readonly lost: AbortSignal;
  /** Gives the file up for other processes. */
  close(): Promise<void>;
  /** Puts the lines in the order of these scans; lines of other scans follow. */
  finish(order: readonly string[]): Promise<void>;
}

/**
 * Opens a file of answers, or begins one. Scans that could not be answered are tried again, and their lines replaced. A last line that
 * was not written to its end is removed. Until `close`, no other process can open the file: the folder `FILE.claim` beside it is
 * claimed (docs/reliability.md).
 * @throws {UserError} if the file is no such file, or of another ensemble, or another process has opened it.
 */
export async function openAnswerFile(
  file: string,
  about: { format: AnswerFormat; model: string },
): Promise<AnswerFile> {
  const claim = await claimOf(file);
  const close = async () => {
    await claim.release();
    await rmdir(dirname(claim.file)).catch(() => {}); // Another process may be about to claim it.
  };
  try {
    return { ...(await openClaimed(file, about)), lost: claim.lost, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function claimOf(file: string): Promise<Claim> {
  const remedy = 'wait until it has ended, or name another file';
  for (let tries = 1; ; tries++)
    try {
      return await claimFolder(`${file}.claim`, { remedy });
    } catch (error) {
      // The process that gave it up has removed the folder meanwhile.
      if (codeOf(error) !== 'ENOENT' || tries === 10) throw asUserError(error, file);
    }
}

async function openClaimed(
  file: string,
  { format, model }: { format: AnswerFormat; model: string },
): Promise<Omit<AnswerFile, 'lost' | 'close'>> {
  const lines = new Map<string, string>();
  const contents = new Map<string, string | null>();
  const notes: string[] = [];
  const text = await readIfPresent(file);
  const refuse = (problem: string): never => {
    throw new UserError(problem, { file, remedy: 'name another file, or delete this one' });
  };
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  if (whole.length < text.length) notes.push(`${file}: the last line was not complete and is written anew`);
  const [first, ...others] = whole === '' ? [] : whole.slice(0, -1).split('\n');
  if (first !== undefined && format.header !== null && first !== format.header)
    refuse('has other columns than a file of answers of this ensemble');
  const rows = format.header === null && first !== undefined ? [first, ...others] : others;
  for (const [i, line] of rows.entries()) {
    const key = format.keyOf(line);
    const place = `line ${i + (format.header === null ? 1 : 2)}`;
    if (key === undefined) return refuse(`${place} is no answer`);
    if (key.model !== model) return refuse(`${place} is of another ensemble, ${key.model}`);
    // After an interruption a scan that was tried again may have two lines, of which the later counts.
    lines.set(key.scan, line);
    if (key.answered) contents.set(key.scan, key.content);
  }
  const write = (ordered: Iterable<string>) => {
    const head = format.header === null ? [] : [format.header];
    return writeFileAtomic(file, [...head, ...ordered].map((line) => `${line}\n`).join(''));
  };
  await write(lines.values());
  return {
    notes,
    knows: (scan) => contents.has(nameInLines(scan, format)),
    has(scan, content) {
      const name = nameInLines(scan, format);
      return content !== null && contents.get(name) === content;
    },
    async add(answer) {
      const line = format.lineOf(answer);
      lines.set(nameInLines(answer.scan, format), line);
      try {
        await appendFile(file, `${line}\n`);
      } catch (error) {
        throw asUserError(error, file);
      }
    },
    async finish(order) {
      const inOrder = new Map<string, string>();
      for (const scan of order) {
        const name = nameInLines(scan, format);
        const line = lines.get(name);
        if (line !== undefined) inOrder.set(name, line);
      }
      for (const [scan, line] of lines) if (!inOrder.has(scan)) inOrder.set(scan, line);
      await write(inOrder.values());
    },
  };
}

async function readIfPresent(file: string): Promise<string> {
  try {
    return await readRegularText(file, { maxBytes: MAX_BYTES.record });
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return '';
    throw asUserError(error, file);
  }
}
