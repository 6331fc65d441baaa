// The engine's error: a closed set of codes to act on, and a line that says what is wrong and what to do.

export type EngineErrorCode =
  | 'library-missing'
  | 'library-version'
  | 'library-damaged'
  | 'platform-unsupported'
  | 'pip-missing'
  | 'download-failed'
  | 'hash-mismatch'
  | 'disk-full'
  | 'tensorflow'
  | 'capture'
  | 'device'
  | 'out-of-memory'
  | 'not-finite'
  | 'stopped';

export interface EngineErrorOptions {
  /** What to do about it, one sentence. */
  remedy?: string;
  cause?: unknown;
}

/** What the engine could not do, why, and the remedy, in one line. `code` is for programs, the message for people. */
export class EngineError extends Error {
  readonly code: EngineErrorCode;
  readonly remedy: string | undefined;

  constructor(code: EngineErrorCode, problem: string, options: EngineErrorOptions = {}) {
    super(options.remedy === undefined ? problem : `${problem} → ${options.remedy}`, {
      cause: options.cause,
    });
    this.name = 'EngineError';
    this.code = code;
    this.remedy = options.remedy;
  }
}

/** For what an engine that was closed meanwhile could not finish. */
export function stoppedError(): EngineError {
  return new EngineError('stopped', 'the engine was closed before this captured step was done');
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return isObject(error) && typeof error['message'] === 'string' ? error['message'] : String(error);
}

/** The `code` of a Node system error (`ENOENT`, `ENOSPC`, …), or undefined. */
export function codeOf(error: unknown): string | undefined {
  return isObject(error) && typeof error['code'] === 'string' ? error['code'] : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
