// Runs the trainer's command line: what main.ts loads.
import { runProgram } from '@ct-ensemble/core';
import { trainerProgram } from './program.ts';

await runProgram(trainerProgram());
