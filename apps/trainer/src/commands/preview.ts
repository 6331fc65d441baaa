// The command preview: draws a contact sheet of every scan and writes one HTML page with all of them.
import { createHash } from 'node:crypto';
import { join, relative, resolve } from 'node:path';
import { print, printable, stopOnSignal, UserError, writeFileAtomic } from '@ct-ensemble/core';
import {
  drawContactSheet,
  nearestIndices,
  openVolumeStore,
  viewsOf,
  type StoredScan,
} from '@ct-ensemble/data';
import { cacheFolder } from '@ct-ensemble/engine';
import { didYouMean, openRecipe, preparationsOf, prepareVolumes, withNetworks } from '@ct-ensemble/ensemble';
import { Command } from 'commander';
import { installForNetworks } from '../install-for-networks.ts';
import {
  addDatasetOptions,
  dataOption,
  filterOption,
  masksOption,
  networkChoice,
  preparationChoice,
  type PreparationOptions,
  recipeOption,
  scanDeadlineOption,
  valuesOption,
  volumesOption,
} from '../options.ts';
import { previewPage, type PreviewScan } from '../preview/preview-page.ts';
import { scanSheet } from '../preview/scan-sheet.ts';
import { pace } from '../terminal/progress.ts';

interface PreviewOptions extends PreparationOptions {
  data: string;
  recipe: string;
  out: string;
  volumes?: string;
  /** A number, or keys separated by commas; undefined: all scans. */
  scans?: string;
}

export function previewCommand(): Command {
  const command = new Command('preview')
    .description(
      'Draws a contact sheet of every scan of a data set and writes an HTML page with all of them.',
    )
    .addOption(dataOption('folder of the data set, or any folder of scans'));
  return addDatasetOptions(command)
    .requiredOption('--out <dir>', 'folder of the page (index.html) and of the contact sheets')
    .addOption(recipeOption('detection-paper'))
    .addOption(filterOption())
    .addOption(masksOption())
    .addOption(volumesOption('--volumes'))
    .addOption(scanDeadlineOption())
    .addOption(valuesOption())
    .option(
      '--scans <n|keys>',
      'draw contact sheets of this number of scans, or of these keys separated by commas (default: all scans)',
    )
    .action(async (options: PreviewOptions) => {
      process.exitCode = await preview(options);
    });
}

/**
 * Runs the command. Returns the exit code: 0 if all scans are done, 1 if some failed, 130 if it was stopped. Only one
 * scan at a time is held in memory: its files and, for DICOM and NIfTI, its decoded slices.
 */
async function preview({ data, out, scans: wanted, ...options }: PreviewOptions): Promise<number> {
  const recipe = await openRecipe(options.recipe);
  const folder = options.volumes ?? join(cacheFolder(), 'volumes');
  await installForNetworks(options);
  const stopping = stopOnSignal();
  const { signal } = stopping;
  try {
    const volumesLine = pace();
    const prepared = await prepareVolumes({
      data,
      ...preparationChoice(options),
      recipe,
      store: folder,
      allowLeaks: true, // the page shows them
      signal,
      onProgress({ done, total }) {
        const line = volumesLine(done, total);
        if (line !== undefined) print(`volumes: ${line}`);
      },
    });
    const { index, report, networks: found } = prepared;
    const store = openVolumeStore(folder);
    const preparations = preparationsOf(recipe).map(({ preparation, members }, i) => ({
      preparation,
      members,
      counts: new Array<number>(256).fill(0),
      stored: new Map(prepared.scans[i]!.scans.map((scan) => [scan.key, scan])),
    }));
    const all = [...preparations[0]!.stored.values()];
    const selected = selectScans(all, wanted);
    const sizes = new Map<string, number>();
    const scans: PreviewScan[] = [];
    const sheetsLine = pace();
    await withNetworks(networkChoice(options), async ({ segmenter }) => {
      for (const entry of index.scans) {
        signal.throwIfAborted();
        const stored = preparations[0]!.stored.get(entry.key)!;
        const className = stored.label === null ? null : index.classes[stored.label]!;
        const { key, split, slices, kept, failure } = stored;
        const scan: PreviewScan = { key, split, className, slices, kept, failure, sheet: null };
        scans.push(scan);
        const line = sheetsLine(scans.length, all.length);
        if (line !== undefined) print(`sheets: ${line}`);
        if (failure !== null) continue;
        const volumes = await Promise.all(
          preparations.map(async ({ preparation, members, counts, stored }) => {
            const { volume: content } = stored.get(key)!;
            const [volume, record] = await Promise.all([store.read(content!), store.record(content!)]);
            for (const value of volume.data) counts[value]!++;
            return { preparation, members, volume, record };
          }),
        );
        if (!selected.has(key)) continue;
        const sheet = await scanSheet(entry, { className, volumes, segmenter, values: options.values });
        for (const size of sheet.sizes.keys()) sizes.set(size, (sizes.get(size) ?? 0) + 1);
        const { png, small } = await drawContactSheet(sheet.sheet);
        const name = fileName(key);
        scan.sheet = { png: `sheets/${name}.png`, small: `sheets/${name}.jpg` };
        await writeFileAtomic(join(out, scan.sheet.png), png);
        await writeFileAtomic(join(out, scan.sheet.small), small);
      }
    });
    const { depth, height, width, slices } = recipe.volume;
    const page = join(out, 'index.html');
    const findings = report.findings.map(({ kind, path, message }) => ({
      kind,
      path: shortened(path, index.root),
      message,
    }));
    await writeFileAtomic(
      page,
      previewPage({
        root: resolve(index.root),
        recipe: recipe.name,
        about: [
          `layout ${index.layout}, volumes of ${viewsOf({ depth }).join(' + ')} slices of ${width} × ${height}`,
          slices === 'lung'
            ? `slices without lung are dropped, found by ${found.filter}`
            : 'all slices are taken',
          ...(preparations.some(({ preparation }) => preparation.mask)
            ? [`only the lung is left, found by ${found.masks}`]
            : []),
        ],
        classes: index.classes,
        scans,
        sizes,
        intensities: preparations.map(({ members, counts }) => ({
          title: preparations.length === 1 ? 'of all members' : `of ${members.join(', ')}`,
          counts,
        })),
        findings,
      }),
    );
    const failed = scans.filter(({ failure }) => failure !== null);
    print(
      `${scans.length} scans, ${selected.size} contact sheets, ${failed.length} failed, ${findings.length} findings: ${page}`,
    );
    for (const { key, failure } of failed) print(`FAILED ${printable(key)}: ${printable(failure ?? '')}`);
    return failed.length > 0 ? 1 : 0;
  } catch (error) {
    if (!signal.aborted) throw error;
    console.error('Stopped. The same command draws the sheets anew; prepared volumes are reused.');
    return 130;
  } finally {
    stopping.release();
  }
}

/** Keys of the scans that get a sheet: all scans, a number of scans spread evenly over the data set, or the named ones. */
function selectScans(scans: readonly StoredScan[], wanted: string | undefined): Set<string> {
  const usable = scans.filter(({ failure }) => failure === null).map(({ key }) => key);
  if (wanted === undefined) return new Set(usable);
  if (/^\d+$/.test(wanted)) {
    const indices = nearestIndices(usable.length, Math.min(Number(wanted), usable.length));
    return new Set(indices.map((i) => usable[i]!));
  }
  const keys = wanted.split(',').map((key) => key.trim());
  const known = scans.map(({ key }) => key);
  const unknown = keys.find((key) => !known.includes(key));
  if (unknown !== undefined)
    throw new UserError(`--scans: there is no scan ${unknown}${didYouMean(unknown, known)}`, {
      remedy: `name keys such as ${known[0]}, or a number of scans`,
    });
  return new Set(keys.filter((key) => usable.includes(key)));
}

/** Longest file name without its ending, in bytes: file systems allow 255. */
const LONGEST_NAME = 120;

/** A file name for a scan's key that is valid on every file system and unique for each key: `train.a.scan_1`. */
export function fileName(key: string): string {
  const safe = key
    .split('/')
    .map((part) =>
      part.replace(/[^A-Za-z0-9_-]/gu, (character) => `~${character.codePointAt(0)!.toString(16)}~`),
    )
    .join('.');
  if (safe.length <= LONGEST_NAME) return safe;
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 16);
  return `${safe.slice(0, LONGEST_NAME - hash.length - 1)}~${hash}`;
}

function shortened(path: string, root: string): string {
  const inside = relative(root, path);
  return inside === '' ? '.' : inside.startsWith('..') ? path : inside;
}
