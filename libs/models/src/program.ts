// The command line of the networks as a commander program. Building it runs nothing.
import { Command } from 'commander';
import { exportCommand } from './commands/export.ts';
import { goldensCommand } from './commands/goldens.ts';
import { roundTripCommand } from './commands/round-trip.ts';
import { summaryCommand } from './commands/summary.ts';

export function modelsProgram(): Command {
  const program = new Command('models').description('Checks, summarises and exports the networks.');
  for (const command of [goldensCommand, summaryCommand, exportCommand, roundTripCommand])
    program.addCommand(command());
  return program;
}
