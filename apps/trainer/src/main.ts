#!/usr/bin/env node
// Runs the trainer's command line.
import { holdSignals } from './terminal/job-signals.ts';

// The rest is loaded afterwards, which takes seconds on a busy machine: a job's signals must not end it before.
if (process.argv[2] === 'member') holdSignals();
const { runProgram } = await import('@ct-ensemble/core');
const { trainerProgram } = await import('./program.ts');

await runProgram(trainerProgram());
