// The command prepare: reads a data set and prepares its volumes, without training. A second run reuses them.
import { print, printable, stopOnSignal, stoppedNotice } from '@ct-ensemble/core';
import { join } from 'node:path';
import type { StoredScan } from '@ct-ensemble/data';
import { cacheFolder } from '@ct-ensemble/engine';
import { classTable, openRecipe, prepareVolumes } from '@ct-ensemble/ensemble';
import { Command } from 'commander';
import { installForNetworks } from '../install-for-networks.ts';
import {
  addDatasetOptions,
  allowLeaksOption,
  dataOption,
  filterOption,
  masksOption,
  preparationChoice,
  type PreparationOptions,
  recipeOption,
  scanDeadlineOption,
  valuesOption,
  volumesOption,
} from '../options.ts';
import { pace } from '../terminal/progress.ts';

interface PrepareOptions extends PreparationOptions {
  data: string;
  recipe: string;
  out?: string;
  json?: boolean;
}

export function prepareCommand(): Command {
  const command = new Command('prepare')
    .description(
      'Prepares the volumes of a recipe from a data set, without training. Volumes that exist already are reused.',
    )
    .addOption(dataOption('folder of the data set, or any folder of scans'));
  return addDatasetOptions(command)
    .addOption(recipeOption('detection-paper'))
    .addOption(filterOption())
    .addOption(masksOption())
    .addOption(volumesOption('--out'))
    .addOption(scanDeadlineOption())
    .addOption(valuesOption())
    .addOption(allowLeaksOption())
    .option('--json', 'print the report as JSON: scans, findings, failures')
    .action(async (options: PrepareOptions) => {
      process.exitCode = await prepare(options);
    });
}

/** Runs the command. Returns the exit code: 0 if all scans are done, 1 if some failed, 130 if it was stopped. */
async function prepare({ data, json, ...options }: PrepareOptions): Promise<number> {
  const recipe = await openRecipe(options.recipe);
  await installForNetworks(options);
  const store = options.out ?? join(cacheFolder(), 'volumes');
  const stopping = stopOnSignal();
  const started = performance.now();
  const progressLine = pace();
  let fresh = 0;
  try {
    const { index, scans, report, networks } = await prepareVolumes({
      data,
      ...preparationChoice(options),
      recipe,
      store,
      signal: stopping.signal,
      onProgress(progress) {
        fresh = progress.fresh;
        const line = progressLine(progress.done, progress.total);
        if (!json && line !== undefined) print(line);
      },
    });
    const seconds = (performance.now() - started) / 1000;
    const [{ scans: prepared }] = scans as [(typeof scans)[0]];
    const failed = prepared.filter(({ failure }) => failure !== null);
    const slices = countSlices(prepared);
    if (json) {
      const { classes, root, layout, splits } = index;
      const about = {
        root,
        layout,
        classes,
        splits,
        volume: recipe.volume,
        networks,
        store,
        fresh,
        seconds,
        slices,
      };
      const members = scans.length === 1 ? {} : { members: scans.slice(1) };
      print(JSON.stringify({ ...about, ...report, scans: prepared, ...members }, undefined, 1));
    } else {
      const { depth, height, width } = recipe.volume;
      print(
        `${prepared.length} scans, ${fresh} read now in ${seconds.toFixed(1)} s, ${failed.length} failed; ` +
          `of ${slices.decodable} slices ${slices.kept} kept, ${slices.dropped} dropped; ` +
          `volumes of ${[depth].flat().join('+')}×${height}×${width} in ${store}`,
      );
      print(classTable(prepared, { classes: index.classes, training: recipe.training }));
      for (const { kind, path, message } of report.findings)
        print(`${kind}: ${printable(path)}: ${printable(message)}`);
      for (const { key, failure } of failed) print(`FAILED ${printable(key)}: ${printable(failure ?? '')}`);
    }
    return failed.length > 0 ? 1 : 0;
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
    console.error(stoppedNotice);
    return 130;
  } finally {
    stopping.release();
  }
}

function countSlices(scans: readonly StoredScan[]) {
  const [decodable, kept] = scans.reduce((sum, scan) => [sum[0] + scan.slices, sum[1] + scan.kept], [0, 0]);
  return { decodable, kept, dropped: decodable - kept };
}
