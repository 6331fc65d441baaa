#!/usr/bin/env node
// Starts the trainer's command line.
import { holdSignals } from './terminal/job-signals.ts';

// The rest is loaded afterwards, which takes seconds on a busy machine: a job's signals must not end the process before.
if (process.argv[2] === 'member') holdSignals();
await import('./run-trainer.ts');
