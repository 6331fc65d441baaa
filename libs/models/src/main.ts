#!/usr/bin/env node
// The command line of the networks.
import { messageOf, UserError } from '@ct-ensemble/core';
import { EngineError } from '@ct-ensemble/engine';
import { Command } from 'commander';
import { exportCommand } from './commands/export.ts';
import { goldensCommand } from './commands/goldens.ts';
import { roundTripCommand } from './commands/round-trip.ts';
import { summaryCommand } from './commands/summary.ts';

const program = new Command('models').description('The networks: checked, described, exported.');
for (const command of [goldensCommand, summaryCommand, exportCommand, roundTripCommand])
  program.addCommand(command());

try {
  await program.parseAsync();
} catch (error) {
  const known = error instanceof UserError || error instanceof EngineError;
  console.error(known ? `error: ${messageOf(error)}` : error);
  process.exitCode = 2;
}
