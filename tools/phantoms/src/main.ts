#!/usr/bin/env node
// Runs phantoms:make.
import { runProgram } from '@ct-ensemble/core';
import { phantomsProgram } from './program.ts';

await runProgram(phantomsProgram());
