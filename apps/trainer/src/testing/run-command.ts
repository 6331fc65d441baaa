// For tests: runs the trainer's commands in this process, which starts far faster than a process of their own.
import { format } from 'node:util';
import { runProgram } from '@ct-ensemble/core';
import { CommanderError } from 'commander';
import { trainerProgram } from '../program.ts';

/** Runs a command with `folder` as the working directory. Returns its exit code and everything that it printed. */
export async function runCommand(
  folder: string,
  args: readonly string[],
): Promise<{ code: number; output: string }> {
  const before = process.cwd();
  process.chdir(folder);
  let output = '';
  const print = (...values: unknown[]) => void (output += `${format(...values)}\n`);
  const { log, error } = console;
  Object.assign(console, { log: print, error: print });
  const program = trainerProgram();
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ writeOut: print, writeErr: print });
  try {
    const parseAsync = async () => {
      try {
        await program.parseAsync(args, { from: 'user' });
      } catch (error) {
        if (!(error instanceof CommanderError)) throw error;
        process.exitCode = error.exitCode; // commander has printed it
      }
    };
    await runProgram({ parseAsync });
    return { code: Number(process.exitCode ?? 0), output };
  } finally {
    process.exitCode = undefined;
    process.chdir(before);
    Object.assign(console, { log, error });
  }
}
