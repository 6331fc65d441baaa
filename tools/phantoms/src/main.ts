#!/usr/bin/env node
// Command line: makes a phantom data set in a folder.
import { parseArgs } from 'node:util';

import { messageOf, UserError } from '@ct-ensemble/core';

import { makePhantoms } from './make.ts';
import { countsOf } from './plan.ts';

const USAGE = `Usage: phantoms --out DIR [--seed N] [--scans N] [--size PX]

Makes chest CT-like phantom scans in the COV19-CT-DB layout.

  --out DIR    folder of the data set: new, empty, or made by this tool (then made anew when the options differ)
  --seed N     seed, 0 … 4294967295 (default 1)
  --scans N    scans in all, at least 6; half with Covid (default 40: train 24, validation 10, test 6)
  --size PX    width and height of a slice in pixels, 32 … 1024 (default 128)
`;

async function main() {
  const { out, seed, scans, size, help } = readArguments();
  if (help === true) return console.log(USAGE);
  if (out === undefined)
    throw new UserError('--out is missing', { remedy: 'name the folder of the data set' });
  const total = number('scans', scans, 40);
  if (!Number.isInteger(total) || total < 6)
    throw new UserError(`--scans is ${scans}`, { remedy: 'give an integer of at least 6' });
  const started = performance.now();
  const result = await makePhantoms({
    folder: out,
    seed: number('seed', seed, 1),
    counts: countsOf(total),
    size: number('size', size, 128),
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const what = `${result.scans} phantom scans, ${result.slices} slices`;
  console.log(result.made ? `${out}: made ${what} in ${seconds} s` : `${out}: ${what}, made before`);
}

function readArguments() {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      options: { out: text, seed: text, scans: text, size: text, help: { type: 'boolean', short: 'h' } },
    }).values;
  } catch (error) {
    throw new UserError(messageOf(error), { remedy: 'see --help', cause: error });
  }
}

function number(field: string, text: string | undefined, fallback: number) {
  if (text === undefined) return fallback;
  if (!/^\d+$/.test(text)) throw new UserError(`--${field} is ${text}`, { remedy: 'give a whole number' });
  return Number(text);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
