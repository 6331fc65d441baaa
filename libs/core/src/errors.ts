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
