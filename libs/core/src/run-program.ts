// How every command line ends: an error that the user can mend becomes one line, a fault of the program its stack.
import { inspect } from 'node:util';
import { asUserError, codeOf, messageOf } from './errors.ts';
import { printableLines } from './printable.ts';

/** The part of a commander `Command` that is needed here. */
export interface Program {
  parseAsync(): Promise<unknown>;
}

/** Names of the error classes whose message is meant for the user. libs/engine cannot import this package's class. */
const USER_FACING = ['UserError', 'EngineError'];

/**
 * Parses the command line and runs the command. When it throws, prints `error: <message>` for a UserError, an EngineError
 * or a system error that `asUserError` knows, and the stack for anything else, both to stderr with control
 * characters escaped, and sets the process's exit code to `failure`. The command goes on if nobody reads its output any more.
 */
export async function runProgram(program: Program, { failure = 1 } = {}): Promise<void> {
  ignoreLostReaders();
  try {
    await program.parseAsync();
  } catch (thrown) {
    const error = asUserError(thrown);
    const isForUser = error instanceof Error && USER_FACING.includes(error.name);
    console.error(printableLines(isForUser ? `error: ${messageOf(error)}` : inspect(error)));
    process.exitCode = failure;
  }
}

/** What a write to the output fails with when its reader, its terminal or the space on its disk is gone. */
const lostReader = new Set(['EPIPE', 'EIO', 'ENOSPC', 'EDQUOT', 'ECONNRESET', 'ERR_STREAM_DESTROYED']);
let ignoring = false;

/** Whether the output can be written must not decide whether hours of work are finished: such errors are ignored. */
function ignoreLostReaders() {
  if (ignoring) return;
  ignoring = true;
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error) => {
      if (!lostReader.has(codeOf(error) ?? '')) throw error;
    });
}
