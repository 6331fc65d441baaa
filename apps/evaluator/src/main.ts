#!/usr/bin/env node
// Runs the evaluator's command line.
import { runProgram } from '@ct-ensemble/core';
import { evaluatorProgram } from './program.ts';

await runProgram(evaluatorProgram());
