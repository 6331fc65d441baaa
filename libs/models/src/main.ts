#!/usr/bin/env node
// The command line of the networks.
import { messageOf, UserError } from '@ct-ensemble/core';
import { Command } from 'commander';
import { goldensCommand } from './commands/goldens.ts';

const program = new Command('models').description('The networks: checked, described, exported.');
program.addCommand(goldensCommand());

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof UserError ? `error: ${messageOf(error)}` : error);
  process.exitCode = 2;
}
