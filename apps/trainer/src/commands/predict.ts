// The command predict: makes the missing probabilities of a run's trained members, such as those of a test set that came later.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, print, UserError } from '@ct-ensemble/core';
import { cacheFolder, type EngineKind, installTensorFlow } from '@ct-ensemble/engine';
import {
  doneFile,
  parseAugmentation,
  prepareRun,
  readPlan,
  type TestTimeAugmentation,
} from '@ct-ensemble/ensemble';
import { Command, InvalidArgumentError, Option } from 'commander';
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
        'make probabilities with test-time augmentation, too, beside the plain ones: flips (mean of the volume and the volume mirrored left to right), slices:N (mean of N = 2 … 8 volumes of different slices of the scan), or flips,slices:N; evaluator:evaluate prints what it gains (default: none)',
      ).argParser(augmentation),
    )
    .action(async (options: PredictOptions) => {
      process.exitCode = await predict(options);
    });
}

function augmentation(text: string): TestTimeAugmentation {
  try {
    return parseAugmentation(text);
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error));
  }
}

/** Runs the command. Returns the exit code: 0 if no trained member lacks probabilities, 1 if one failed, 130 if it was stopped. */
async function predict(options: PredictOptions): Promise<number> {
  const { run, devices, engine, tta } = options;
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
    const draws = tta?.draws ?? 1;
    const countDraws = counter(
      `Preparing volumes of ${draws - 1} further ${draws === 2 ? 'draw' : 'draws'} of slices`,
    );
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
      ...(draws > 1 && {
        draws: { count: draws, onProgress: ({ done, total, scan }) => countDraws(done, total, scan) },
      }),
      signal: claimed.signal,
    });
    return runMembers(prepared, {
      run,
      store,
      ...claimed,
      predictOnly: true,
      ...(tta && { augmentation: tta }),
    });
  });
}
