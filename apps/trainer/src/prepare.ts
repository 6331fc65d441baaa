// The command prepare: data set and volumes, without training; a second run finds its volumes made.
import { join } from 'node:path';
import { cacheFolder } from '@ct-ensemble/engine';
import { openRecipe, prepareVolumes } from '@ct-ensemble/ensemble';
import { pace, stopOnSignal } from './terminal.ts';

export interface PrepareOptions {
  data: string;
  recipe: string;
  volumes?: string;
  /** What two splits share is told and no error. */
  allowLeaks?: boolean;
  json?: boolean;
}

/** Runs the command; returns the exit code: 0 all done, 1 some scans failed, 130 stopped. */
export async function prepare({ data, json, ...options }: PrepareOptions): Promise<number> {
  const recipe = await openRecipe(options.recipe);
  const store = options.volumes ?? join(cacheFolder(), 'volumes');
  const stopping = stopOnSignal();
  const started = performance.now();
  const paced = pace();
  let fresh = 0;
  try {
    const { index, scans, report } = await prepareVolumes({
      data,
      recipe,
      store,
      allowLeaks: options.allowLeaks === true,
      signal: stopping.signal,
      onProgress(progress) {
        fresh = progress.fresh;
        const line = paced(progress.done, progress.total);
        if (!json && line !== undefined) console.log(line);
      },
    });
    const failed = scans.filter(({ failure }) => failure !== null);
    if (json) {
      const { classes, root, task } = index;
      const about = { root, task, classes, volume: recipe.volume, store, fresh };
      console.log(JSON.stringify({ ...about, ...report, scans }, undefined, 1));
    } else {
      const { depth, height, width } = recipe.volume;
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      console.log(
        `${scans.length} scans, ${fresh} read now in ${seconds} s, ${failed.length} failed; ` +
          `volumes of ${depth}×${height}×${width} in ${store}`,
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
