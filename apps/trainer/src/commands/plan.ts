// The command plan: measures what members need and prints the plan of a run, before anything is trained.
import { join } from 'node:path';
import { print, printError, stopOnSignal } from '@ct-ensemble/core';
import { type EngineKind, installTensorFlow } from '@ct-ensemble/engine';
import { type Isolation, openRecipe, planRun, planText } from '@ct-ensemble/ensemble';
import { Command } from 'commander';
import {
  addDatasetOptions,
  allowLeaksOption,
  dataOption,
  devicesOption,
  engineOption,
  isolationOption,
  type NumericsOptions,
  numericsOptions,
  preparationChoice,
  type PreparationOptions,
  recipeOption,
} from '../options.ts';

export interface PlanOptions extends PreparationOptions, NumericsOptions {
  data: string;
  recipe: string;
  run?: string;
  devices: string;
  engine: EngineKind;
  isolation: Isolation;
  json?: boolean;
}

export function planCommand(): Command {
  const command = new Command('plan')
    .description(
      'Prints time, memory and disk of every member before anything is trained, from a short measurement of each architecture on each kind of device. Measurements are kept.',
    )
    .addOption(dataOption('folder of the data set'));
  addDatasetOptions(command)
    .addOption(recipeOption('detection-paper'))
    .option(
      '--run <dir>',
      'folder of the run, whose finished epochs count (default: runs/<name of the recipe>)',
    )
    .addOption(devicesOption())
    .addOption(isolationOption())
    .addOption(engineOption())
    .addOption(allowLeaksOption())
    .option('--json', 'print the plan as JSON')
    .action(async (options: PlanOptions) => {
      process.exitCode = await plan(options);
    });
  for (const option of numericsOptions()) command.addOption(option);
  return command;
}

/**
 * Prints the plan of a run. Returns the exit code: 0 if the run can start, 1 if something stands in its way, 130 if it was
 * stopped.
 */
export async function plan(options: PlanOptions): Promise<number> {
  const recipe = await openRecipe(options.recipe, options);
  if (options.engine === 'tensorflow') await installTensorFlow({ log: printError });
  const stopping = stopOnSignal();
  try {
    const description = await planRun({
      ...preparationChoice(options),
      data: options.data,
      recipe,
      run: options.run ?? join('runs', recipe.name),
      devices: options.devices,
      engine: options.engine,
      isolation: options.isolation,
      signal: stopping.signal,
      onMeasure: ({ architecture, device, atOnce }) => {
        const kind =
          device.kind === 'gpu'
            ? 'a GPU'
            : `${device.threads} CPU ${device.threads === 1 ? 'thread' : 'threads'}`;
        const together = atOnce > 1 ? `, alone and ${atOnce} at once` : '';
        printError(`Measuring ${architecture} on ${kind}${together} …`);
      },
    });
    print(options.json ? JSON.stringify(description, undefined, 1) : planText(description));
    return description.problems.length > 0 ? 1 : 0;
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
    printError('Stopped: measurements that were finished are kept.');
    return 130;
  } finally {
    stopping.release();
  }
}
