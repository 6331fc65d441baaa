// How every command line ends: an error that the user can mend becomes one line, a fault of the program its stack.
import { inspect } from 'node:util';
import { messageOf } from './errors.ts';
import { printableLines } from './printable.ts';

/** The part of a commander `Command` that is needed here. */
export interface Program {
  parseAsync(): Promise<unknown>;
}

/** Names of the error classes whose message is meant for the user. libs/engine cannot import this package's class. */
const USER_FACING = ['UserError', 'EngineError'];

/**
 * Parses the command line and runs the command. When it throws, prints `error: <message>` for a UserError or EngineError
 * and the stack for anything else, both to stderr with control characters escaped, and sets the process's exit code to `failure`.
 */
export async function runProgram(program: Program, { failure = 1 } = {}): Promise<void> {
  try {
    await program.parseAsync();
  } catch (error) {
    const isForUser = error instanceof Error && USER_FACING.includes(error.name);
    console.error(printableLines(isForUser ? `error: ${messageOf(error)}` : inspect(error)));
    process.exitCode = failure;
  }
}
