// The error of this house: something outside the program is not as it must be, and the reader can mend it.

import { printable, printableLines } from './printable.ts';

export interface UserErrorOptions {
  /** What to do about it, one sentence. */
  remedy?: string;
  /** The file or folder it is about. */
  file?: string;
  cause?: unknown;
}

/**
 * Bad input, reported in one line: what is wrong, where (file, field), and the remedy. Shown without a stack. Control
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

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return isObject(error) && typeof error['message'] === 'string' ? error['message'] : String(error);
}

/** The `code` of a Node system error (`ENOENT`, `EEXIST`, …), or undefined. */
export function codeOf(error: unknown): string | undefined {
  return isObject(error) && typeof error['code'] === 'string' ? error['code'] : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
