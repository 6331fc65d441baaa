#!/usr/bin/env node
// The command-line program of this package: goldens, summary, export, round-trip.
import { runProgram } from '@ct-ensemble/core';
import { Command } from 'commander';
import { exportCommand } from './commands/export.ts';
import { goldensCommand } from './commands/goldens.ts';
import { roundTripCommand } from './commands/round-trip.ts';
import { summaryCommand } from './commands/summary.ts';

const program = new Command('models').description('Checks, summarises and exports the networks.');
for (const command of [goldensCommand, summaryCommand, exportCommand, roundTripCommand])
  program.addCommand(command());

await runProgram(program, { failure: 2 }); // 1: a comparison that was made and failed
