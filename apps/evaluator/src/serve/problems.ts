// What is wrong with a request, as the client is told: a status, a sentence, and what to do about it.

export interface RequestProblemOptions {
  /** The header, query parameter or part of the scan that the problem is in. */
  field?: string;
  /** How to fix the problem, as one phrase. */
  remedy?: string;
  /** Seconds after which the same request may succeed. */
  retryAfter?: number;
}

/** A request that cannot be answered with probabilities. Messages are for the client and name no path of this machine. */
export class RequestProblem extends Error {
  /** An identifier for programs and for the log, which never has the message. */
  readonly kind: string;
  readonly status: number;
  readonly options: RequestProblemOptions;

  constructor(
    { status, kind }: { status: number; kind: string },
    message: string,
    options: RequestProblemOptions = {},
  ) {
    super(message);
    this.name = 'RequestProblem';
    this.kind = kind;
    this.status = status;
    this.options = options;
  }

  /** The body of the answer. */
  body(requestId: string) {
    const { field, remedy } = this.options;
    return {
      requestId,
      error: {
        message: this.message,
        kind: this.kind,
        ...(field !== undefined && { field }),
        ...(remedy !== undefined && { remedy }),
      },
    };
  }
}

/** A scan that cannot be read or answered. */
export const unreadable = (kind: string, message: string, options: RequestProblemOptions = {}) =>
  new RequestProblem({ status: 422, kind }, message, options);

/** More than the service takes. */
export const tooLarge = (kind: string, message: string, options: RequestProblemOptions = {}) =>
  new RequestProblem({ status: 413, kind }, message, options);

/** Something that will pass. */
export const busy = (kind: string, message: string, retryAfter: number) =>
  new RequestProblem({ status: 503, kind }, message, { retryAfter, remedy: 'send the request again later' });
