// The command prepare: data set and volumes, without training; a second run finds its volumes made.
import { join } from 'node:path';
import type { StoredScan } from '@ct-ensemble/data';
import { cacheFolder } from '@ct-ensemble/engine';
import { openRecipe, prepareVolumes } from '@ct-ensemble/ensemble';
import { Command } from 'commander';
import { installForNetworks } from '../install-for-networks.ts';
import {
  allowLeaksOption,
  dataOption,
  filterOption,
  masksOption,
  type PreparationNetworkOptions,
  recipeOption,
  volumesOption,
} from '../options.ts';
import { pace } from '../terminal/progress.ts';
import { stopOnSignal } from '../terminal/signals.ts';

interface PrepareOptions extends PreparationNetworkOptions {
  data: string;
  recipe: string;
  out?: string;
  /** Scans that two splits share are reported, and are no error. */
  allowLeaks?: boolean;
  json?: boolean;
}

export function prepareCommand(): Command {
  return new Command('prepare')
    .description('Reads a data set and prepares the volumes of a recipe; volumes that exist are kept.')
    .addOption(dataOption('folder of scans, in the layout of COV19-CT-DB or any other'))
    .addOption(recipeOption('detection-paper'))
    .addOption(filterOption())
    .addOption(masksOption())
    .addOption(volumesOption('--out'))
    .addOption(allowLeaksOption())
    .option('--json', 'print the report as JSON: scans, findings, failures')
    .action(async (options: PrepareOptions) => {
      process.exitCode = await prepare(options);
    });
}

/** Runs the command; returns the exit code: 0 all done, 1 some scans failed, 130 stopped. */
async function prepare({ data, json, ...options }: PrepareOptions): Promise<number> {
  const recipe = await openRecipe(options.recipe);
  await installForNetworks(options);
  const store = options.out ?? join(cacheFolder(), 'volumes');
  const stopping = stopOnSignal();
  const started = performance.now();
  const paced = pace();
  let fresh = 0;
  try {
    const { index, scans, report, networks } = await prepareVolumes({
      data,
      recipe,
      store,
      ...(options.filter !== undefined && { filter: options.filter }),
      ...(options.masks !== undefined && { masks: options.masks }),
      allowLeaks: options.allowLeaks === true,
      signal: stopping.signal,
      onProgress(progress) {
        fresh = progress.fresh;
        const line = paced(progress.done, progress.total);
        if (!json && line !== undefined) console.log(line);
      },
    });
    const seconds = (performance.now() - started) / 1000;
    const [{ scans: one }] = scans as [(typeof scans)[0]];
    const failed = one.filter(({ failure }) => failure !== null);
    const slices = countSlices(one);
    if (json) {
      const { classes, root, task } = index;
      const about = { root, task, classes, volume: recipe.volume, networks, store, fresh, seconds, slices };
      const members = scans.length === 1 ? {} : { members: scans.slice(1) };
      console.log(JSON.stringify({ ...about, ...report, scans: one, ...members }, undefined, 1));
    } else {
      const { depth, height, width } = recipe.volume;
      console.log(
        `${one.length} scans, ${fresh} read now in ${seconds.toFixed(1)} s, ${failed.length} failed; ` +
          `of ${slices.decodable} slices ${slices.kept} kept, ${slices.dropped} dropped; ` +
          `volumes of ${[depth].flat().join('+')}×${height}×${width} in ${store}`,
      );
      for (const { kind, path, message } of report.findings) console.log(`${kind}: ${path}: ${message}`);
      for (const { key, failure } of failed) console.log(`FAILED ${key}: ${failure}`);
    }
    return failed.length > 0 ? 1 : 0;
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
    console.error('Stopped. The same command continues.');
    return 130;
  } finally {
    stopping.release();
  }
}

function countSlices(scans: readonly StoredScan[]) {
  const [decodable, kept] = scans.reduce((sum, scan) => [sum[0] + scan.slices, sum[1] + scan.kept], [0, 0]);
  return { decodable, kept, dropped: decodable - kept };
}
