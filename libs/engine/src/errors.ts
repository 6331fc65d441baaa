// EngineError: a closed set of codes for programs, and a one-line message with problem and remedy for people.

export type EngineErrorCode =
  | 'library-missing'
  | 'library-version'
  | 'library-damaged'
  | 'cache-unsafe'
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
  /** What the user can do about it, one sentence. */
  remedy?: string;
  cause?: unknown;
}

/**
 * An error of the engine. `message` is one line, `problem → remedy`; programs should test `code` instead of the text.
 */
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

/** The error of a captured step that did not finish because its engine was closed. */
export function stoppedError(): EngineError {
  return new EngineError('stopped', 'the engine was closed before this captured step finished');
}

/** What CUDA's libraries report when they find no memory; TensorFlow passes it on with another status than RESOURCE_EXHAUSTED. */
const ALLOCATION_FAILED = /RESOURCE_EXHAUSTED|CUDA_ERROR_OUT_OF_MEMORY|CU(?:DNN|BLAS)_STATUS_ALLOC_FAILED/;

/**
 * Whether an error, or one of the errors that caused it, says that the device has no memory left: the EngineError with the
 * code 'out-of-memory', or an error of TensorFlow with a failed allocation of CUDA's libraries in its message. Ask in the
 * thread that caught the error: an error that was sent to another thread has lost its code.
 */
export function isOutOfMemory(error: unknown): boolean {
  const seen = new Set<unknown>();
  for (let at = error; isObject(at) && !seen.has(at); at = at['cause']) {
    seen.add(at);
    if (at['code'] === 'out-of-memory') return true;
    if (at instanceof EngineError && at.code === 'tensorflow' && ALLOCATION_FAILED.test(at.message))
      return true;
  }
  return false;
}

/** The message of any thrown value. */
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
