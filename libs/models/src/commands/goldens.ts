// models:goldens: compares every network of a goldens file with the network here, one line each.
import { messageOf, print, UserError } from '@ct-ensemble/core';
import { type Device, type EngineKind, openEngine } from '@ct-ensemble/engine';
import { Command, Option } from 'commander';
import { device as deviceOf } from './options.ts';
import { type Comparison, compareGolden, readGoldens, sharedGoldens } from '../goldens.ts';

interface Options {
  file: string;
  engine: EngineKind;
  device?: Device;
  json?: boolean;
}

/** A comparison, or the reason why the network could not be compared. */
type Line = Comparison | { net: string; problem: string; ok: false };

export function goldensCommand(): Command {
  return new Command('goldens')
    .description('Compares the networks with PyTorch in float64: exit code 1 beyond the limits.')
    .addOption(
      new Option('--file <file>', "goldens: PyTorch's results and the seed of weights and inputs").default(
        sharedGoldens,
        'shared/goldens/goldens.json beside the workspace',
      ),
    )
    .addOption(
      new Option('--engine <name>', 'library that computes')
        .choices(['tensorflow', 'cpu'])
        .default('tensorflow'),
    )
    .option('--device <device>', 'cpu or gpu:0, gpu:1, …; TF32 stays off (default: cpu)', deviceOf)
    .option('--json', 'print JSON')
    .action(async ({ file, engine, device, json }: Options) => {
      const goldens = await readGoldens(file);
      if (goldens === undefined) {
        throw new UserError('there is no such file', { file, remedy: 'give --file FILE' });
      }
      const opened = await openEngine({ engine, ...(device === undefined ? {} : { device }) });
      try {
        const lines: Line[] = [];
        for (const [net, golden] of Object.entries(goldens.nets)) {
          const line = compared(() => compareGolden({ seed: goldens.seed, net }, golden), net);
          lines.push(line);
          if (!json) print(textOf(line));
        }
        if (json) print(JSON.stringify(lines, undefined, 1));
        if (lines.some(({ ok }) => !ok)) process.exitCode = 1;
      } finally {
        opened.close();
      }
    });
}

function compared(compare: () => Comparison, net: string): Line {
  try {
    return compare();
  } catch (error) {
    if (error instanceof UserError) return { net, problem: messageOf(error), ok: false };
    throw error;
  }
}

const titles = {
  evalLogits: 'eval logits',
  evalLogitsAfterTrainForward: 'after training forward',
  firstLoss: 'loss',
  gradientMedian: 'gradient norms, median',
  gradient95: '95 %',
} as const;

function textOf(line: Line): string {
  if ('problem' in line) return `${line.net}: ${line.problem}`;
  const { net, parameters, expectedParameters, figures, ok } = line;
  const count =
    parameters === expectedParameters ? `${parameters}` : `${parameters}, not ${expectedParameters},`;
  const parts = figures.map(({ name, value, limit }) => {
    const figure = `${titles[name]} ${value.toExponential(1)}`;
    return value <= limit ? figure : `${figure} (limit ${limit.toExponential(1)})`;
  });
  return `${net}: ${count} parameters; ${parts.join(', ')}: ${ok ? 'ok' : 'NOT ok'}`;
}
