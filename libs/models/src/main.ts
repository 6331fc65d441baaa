#!/usr/bin/env node
// Runs the command line of the networks.
import { runProgram } from '@ct-ensemble/core';
import { modelsProgram } from './program.ts';

await runProgram(modelsProgram(), { failure: 2 }); // exit code 1: a comparison that was made and failed
