#!/usr/bin/env node
// The command line of the networks.
import { runProgram } from '@ct-ensemble/core';
import { Command } from 'commander';
import { exportCommand } from './commands/export.ts';
import { goldensCommand } from './commands/goldens.ts';
import { roundTripCommand } from './commands/round-trip.ts';
import { summaryCommand } from './commands/summary.ts';

const program = new Command('models').description('The networks: checked, described, exported.');
for (const command of [goldensCommand, summaryCommand, exportCommand, roundTripCommand])
  program.addCommand(command());

await runProgram(program, { failure: 2 }); // 1: a comparison that was made and failed
