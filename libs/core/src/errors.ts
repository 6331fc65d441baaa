// UserError, which reports a problem that the user can fix, and helpers for errors of unknown type.

import { printable, printableLines } from './printable.ts';

export interface UserErrorOptions {
  /** How to fix the problem, as one phrase. */
  remedy?: string;
  /** The file or folder that the problem is in. */
  file?: string;
  /** The error that led to this one. */
  cause?: unknown;
}

/**
 * Invalid input or another problem that the user can fix. The message is one line, `FILE: PROBLEM → REMEDY`; programs print it
 * without a stack trace. Control
 * characters, which hostile file names may hold, are escaped in the message (see `printable`), not in the fields.
 */
export class UserError extends Error {
  /** What is wrong, without the file and the remedy. */
  readonly problem: string;
  readonly file: string | undefined;
  readonly remedy: string | undefined;

  constructor(problem: string, options: UserErrorOptions = {}) {
    const where = options.file === undefined ? '' : `${printable(options.file)}: `;
    const remedy = options.remedy === undefined ? '' : ` → ${options.remedy}`;
    super(printableLines(`${where}${problem}${remedy}`), { cause: options.cause });
    this.name = 'UserError';
    this.problem = problem;
    this.file = options.file;
    this.remedy = options.remedy;
  }
}

/** What each code of a system error means to the user, and what the user can do about it. */
const systemErrors: Record<string, readonly [problem: string, remedy: string]> = {
  EACCES: ['permission denied', 'give this user the right to use it, or name another place'],
  EPERM: ['not permitted', 'give this user the right to use it, or name another place'],
  EROFS: ['the file system is read-only', 'mount it for writing, or name another place'],
  ENOSPC: ['no space is left on the disk', 'free some space, then run the same command again'],
  EDQUOT: ['the disk quota is used up', 'free some space, then run the same command again'],
  ENOTDIR: ['a part of the path is a file, not a folder', 'name another place, or move that file away'],
  EISDIR: ['is a folder, where a file is expected', 'move the folder away, or name another place'],
  EMFILE: ['too many files are open in this process', 'raise the limit with ulimit -n'],
};

/**
 * A system error that the user can fix, as a UserError with its file and a remedy; any other value as it is. Known are
 * EACCES, EPERM, EROFS, ENOSPC, EDQUOT, ENOTDIR, EISDIR and EMFILE. `file` replaces the path that the error names.
 */
export function asUserError(error: unknown, file?: string): unknown {
  const known = systemErrors[codeOf(error) ?? ''];
  if (known === undefined || error instanceof UserError) return error;
  const { dest, path } = error as NodeJS.ErrnoException & { dest?: unknown };
  const place = file ?? [dest, path].find((name) => typeof name === 'string');
  const [problem, remedy] = known;
  return new UserError(place === undefined ? `${problem} (${messageOf(error)})` : problem, {
    ...(typeof place === 'string' && { file: place }),
    remedy,
    cause: error,
  });
}

/** The message of an error, or of any other value that was thrown. */
export function messageOf(error: unknown): string {
  return isObject(error) && typeof error['message'] === 'string' ? error['message'] : String(error);
}

/** The `code` of a Node.js system error (`ENOENT`, `EEXIST`, …); undefined for other values. */
export function codeOf(error: unknown): string | undefined {
  return isObject(error) && typeof error['code'] === 'string' ? error['code'] : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
