// The options that both sides of the benchmark share.
import { parseArgs } from 'node:util';

export interface StepOptions {
  architecture: string;
  batch: number;
  /** Edge of a volume, pixels. */
  size: number;
  /** Slices of a volume. */
  depth: number;
  /** Pairs of steps that are timed. */
  steps: number;
  threads: number;
  /** The Python that has torch and torchvision. */
  python: string;
}

const defaults = { batch: 4, size: 224, depth: 64, steps: 10, threads: 2 };

export function stepOptions(args: string[]): StepOptions {
  const number = { type: 'string' } as const;
  const { values } = parseArgs({
    args,
    options: {
      architecture: { type: 'string' },
      python: { type: 'string' },
      batch: number,
      size: number,
      depth: number,
      steps: number,
      threads: number,
    },
  });
  const numbers = Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [
      name,
      Number(values[name as keyof typeof defaults] ?? value),
    ]),
  ) as typeof defaults;
  return {
    architecture: values.architecture ?? 'densenet161',
    python: values.python ?? 'python3',
    ...numbers,
  };
}
