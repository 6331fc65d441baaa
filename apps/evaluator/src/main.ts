#!/usr/bin/env node
// The evaluator's command line.
import { messageOf, UserError } from '@ct-ensemble/core';
import { Command } from 'commander';
import { evaluateCommand } from './evaluate.ts';
import { submitCommand } from './submit.ts';

const program = new Command('evaluator').description('Evaluates a run and writes its submission.');

program
  .command('submit')
  .description(
    "Writes the recipe's submissions: the mean of the members' probabilities, one CSV file a class.",
  )
  .option('--run <dir>', 'folder of the run (default: runs/quick, trained first when it is not there)')
  .action(async (options: { run?: string }) => {
    process.exitCode = await submitCommand(options);
  });

program
  .command('evaluate')
  .description('Scores every member and every subset of members.')
  .requiredOption('--run <dir>', 'folder of the run')
  .option('--json', 'print JSON')
  .action(async (options: { run: string; json?: boolean }) => {
    await evaluateCommand(options);
  });

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof UserError ? `error: ${messageOf(error)}` : error);
  process.exitCode = 1;
}
