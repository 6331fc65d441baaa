// The command-line options of engine:bench.
import { parseArgs } from 'node:util';
import { messageOf, UserError } from '@ct-ensemble/core';
import type { Common, Replacements } from './cases.ts';

export interface Options {
  /** Names of cases; undefined: those that run by default. */
  cases: string[] | undefined;
  common: Common;
  replacements: Replacements;
  /** A Python that has torch and torchvision. */
  python: string;
  /** Files to write the measurements and the table to. */
  json: string | undefined;
  markdown: string | undefined;
}

export const usage = `Usage: nx run engine:bench -- [options]

Times training and evaluation in turn with PyTorch's, and reports the median of the pairs' ratios.

  --cases LIST         cases, separated by commas: two-members, one-member, one-member-16, mixed, evaluation,
                       memory, startup, a network's name (all these by default), compiled, xla, recompute
  --steps N            pairs of turns that are timed (default: each case's own)
  --threads N          CPU threads of a member (default 2, two-members 1)
  --batch N            scans of a step (default 4; one-member-16, memory and recompute 16)
  --architecture NAME  densenet161 (default) or densenet_small
  --size N, --depth N  edge and slices of a volume (default 224 and 64)
  --device DEVICE      cpu (default) or gpu:0, gpu:1, …
  --tf32               TensorFloat-32 in a GPU's float32, on both sides (default: off on both)
  --python PATH        a Python that has torch and torchvision (default python3)
  --json FILE          writes all measurements
  --markdown FILE      writes the table: between the marker lines of a file, or as a new file
`;

/** Parses the command line. @throws {UserError} for an option that is unknown or out of range. */
export function readOptions(args: string[]): Options | 'help' {
  const values = parse(args);
  if (values.help) return 'help';
  const number = (name: 'steps' | 'threads' | 'batch' | 'size' | 'depth') => {
    const value = values[name];
    if (value === undefined || /^[1-9]\d*$/.test(value)) return value === undefined ? value : Number(value);
    throw new UserError(`--${name} is ${JSON.stringify(value)}`, { remedy: 'give a whole number above 0' });
  };
  const depth = number('depth') ?? 64;
  const [pairs, threads, batch] = [number('steps'), number('threads'), number('batch')];
  return {
    cases: values.cases?.split(',').map((name) => name.trim()),
    common: {
      architecture: values.architecture ?? 'densenet161',
      depth,
      views: [depth],
      size: number('size') ?? 224,
      device: deviceOf(values.device ?? 'cpu'),
      tf32: values.tf32 ?? false,
    },
    replacements: {
      ...(pairs !== undefined && { pairs }),
      ...(threads !== undefined && { threads }),
      ...(batch !== undefined && { batch }),
    },
    python: values.python ?? 'python3',
    json: values.json,
    markdown: values.markdown,
  };
}

function parse(args: string[]) {
  const text = { type: 'string' } as const;
  const options = {
    cases: text, steps: text, threads: text, batch: text, architecture: text, size: text, depth: text,
    device: text, python: text, json: text, markdown: text,
    tf32: { type: 'boolean' }, help: { type: 'boolean', short: 'h' },
  } as const; // prettier-ignore
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    throw new UserError(messageOf(error), { remedy: 'see --help', cause: error });
  }
}

function deviceOf(text: string): Common['device'] {
  const match = /^(cpu|gpu:(\d+))$/.exec(text);
  if (!match) throw new UserError(`--device is ${JSON.stringify(text)}`, { remedy: 'give cpu or gpu:0' });
  return match[2] === undefined ? { kind: 'cpu', index: 0 } : { kind: 'gpu', index: Number(match[2]) };
}
