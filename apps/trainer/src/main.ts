#!/usr/bin/env node
// Runs the trainer's command line.
import { runProgram } from '@ct-ensemble/core';
import { trainerProgram } from './program.ts';

await runProgram(trainerProgram());
