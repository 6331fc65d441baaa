// The command predict: makes the missing probabilities of a run's trained members, such as those of a test set that came later.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { print, UserError } from '@ct-ensemble/core';
import { cacheFolder, type EngineKind, installTensorFlow } from '@ct-ensemble/engine';
import { doneFile, prepareRun, readPlan } from '@ct-ensemble/ensemble';
import type { TestTimeAugmentation } from '@ct-ensemble/training';
import { Command, Option } from 'commander';
import { claimedWork } from '../claimed-work.ts';
import {
  addDatasetOptions,
  allowLeaksOption,
  dataOption,
  devicesOption,
  engineOption,
  filterOption,
  masksOption,
  preparationChoice,
  type PreparationOptions,
  scanDeadlineOption,
  valuesOption,
  volumesOption,
} from '../options.ts';
import { counter } from '../terminal/progress.ts';
import { runMembers } from './all-members.ts';

interface PredictOptions extends PreparationOptions {
  run: string;
  data?: string;
  devices: string;
  engine: EngineKind;
  volumes?: string;
  tta?: TestTimeAugmentation;
}

export function predictCommand(): Command {
  const command = new Command('predict')
    .description(
      'Makes the missing probabilities of the trained members of a run, such as those of new test scans. Trains nothing.',
    )
    .requiredOption('--run <dir>', 'folder of the run')
    .addOption(
      dataOption('folder of the data set, with the scans that the run was made with', 'as in the run'),
    );
  return addDatasetOptions(command, 'as in the run')
    .addOption(devicesOption())
    .addOption(engineOption())
    .addOption(volumesOption('--volumes'))
    .addOption(filterOption())
    .addOption(masksOption())
    .addOption(scanDeadlineOption())
    .addOption(valuesOption())
    .addOption(allowLeaksOption())
    .addOption(
      new Option(
        '--tta <how>',
        'make probabilities with test-time augmentation, too, beside the plain ones: flips (mean of the volume and the volume mirrored left to right); evaluator:evaluate prints what it gains (default: none)',
      ).choices(['flips'] satisfies TestTimeAugmentation[]),
    )
    .action(async (options: PredictOptions) => {
      process.exitCode = await predict(options);
    });
}

/** Runs the command. Returns the exit code: 0 if no trained member lacks probabilities, 1 if one failed, 130 if it was stopped. */
async function predict(options: PredictOptions): Promise<number> {
  const { run, devices, engine } = options;
  const { recipe, dataset, members } = await readPlan(run);
  if (!members.some(({ name }) => existsSync(doneFile(run, name))))
    throw new UserError('no member of this run is trained', {
      file: run,
      remedy: `nx run trainer:all-members -- --run ${run}`,
    });
  if (engine === 'tensorflow') await installTensorFlow({ log: print });
  const store = options.volumes ?? join(cacheFolder(), 'volumes');
  return claimedWork(run, async (claimed) => {
    const count = counter('Preparing volumes');
    const prepared = await prepareRun({
      data: options.data ?? dataset.root,
      ...(options.labels === undefined &&
        options.layout === undefined && {
          layout: dataset.layout,
          ...(dataset.labels !== null && { labels: dataset.labels }),
        }),
      ...preparationChoice(options),
      recipe,
      run,
      devices,
      engine,
      store,
      onProgress: ({ done, total, scan }) => count(done, total, scan),
      signal: claimed.signal,
    });
    return runMembers(prepared, {
      run,
      store,
      ...claimed,
      predictOnly: true,
      ...(options.tta && { augmentation: options.tta }),
    });
  });
}
