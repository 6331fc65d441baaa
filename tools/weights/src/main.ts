#!/usr/bin/env node
// Runs weights:fetch.
import { runProgram } from '@ct-ensemble/core';
import { weightsProgram } from './program.ts';

await runProgram(weightsProgram());
