// The further volumes of test-time augmentation by draws of slices: of which scans they are made, and their keys in the volume store.
import { UserError } from '@ct-ensemble/core';
import {
  type Finding,
  type Preparation,
  type PreparationNetworks,
  type PreparationProgress,
  prepareDataset,
  type ScanEntry,
  type StoredScan,
  type VolumeStore,
} from '@ct-ensemble/data';
import type { Recipe } from '../recipes/schema.ts';
import type { MemberScans, RunScan } from '../run-folder.ts';

/** The volumes of the further draws of the scans that these members predict. */
export interface SliceDraws {
  members: string[];
  /** By the key of a scan: the content keys of its volumes of the draws from 1 on, in their order. Draw 0 is the plain volume. */
  volumes: Record<string, string[]>;
}

/** @throws {UserError} if the recipe's volumes have one draw of slices only. */
export function requireDraws({ name, volume }: Pick<Recipe, 'name' | 'volume'>) {
  if (volume.sampling !== 'lung-area') return;
  throw new UserError(
    `--tta slices: the recipe ${name} samples slices by lung area (volume.sampling: lung-area), which has one draw of slices only`,
    { remedy: 'leave slices out, such as --tta flips' },
  );
}

/** Whether one of these members predicts the scan: it has a volume, and is for test or in the member's validation scans. */
export function isPredicted(
  { split, fold, volume }: RunScan,
  { folds }: Pick<MemberScans, 'folds'>,
): boolean {
  if (volume === null) return false;
  if (split === 'test') return true;
  return folds === undefined ? split === 'val' : Object.values(folds).some((own) => own === fold);
}

/**
 * Prepares draws 1 … `draws` − 1 of the scans that members predict. `preparations` are those of the members of `scans`, in the same order.
 * @throws {UserError} if a draw of a scan that has a plain volume could not be prepared; otherwise as `prepareDataset`.
 */
export async function prepareDraws(options: {
  scans: readonly MemberScans[];
  index: { scans: readonly ScanEntry[] };
  preparations: readonly Preparation[];
  /** Number of draws, with draw 0. */
  draws: number;
  store: VolumeStore;
  networks: PreparationNetworks;
  deadline?: number;
  onProgress?: (progress: PreparationProgress) => void;
  signal?: AbortSignal;
}): Promise<{ draws: SliceDraws[]; findings: Finding[] }> {
  const { scans, index, preparations, draws, ...rest } = options;
  const predicted = scans.map(
    (each) => new Set(each.scans.filter((scan) => isPredicted(scan, each)).map(({ key }) => key)),
  );
  const further = Array.from({ length: draws - 1 }, (_, i) => ({ index: i + 1, of: draws }));
  const { scans: drawn, findings } = await prepareDataset({
    ...rest,
    index: { scans: index.scans.filter(({ key }) => predicted.some((keys) => keys.has(key))) },
    preparations: preparations.flatMap((preparation) => further.map((draw) => ({ ...preparation, draw }))),
  });
  const found = scans.map(({ members }, group): SliceDraws => {
    const volumes: SliceDraws['volumes'] = {};
    for (const [d, { index: number }] of further.entries())
      for (const { key, volume, failure } of drawn[group * further.length + d]!) {
        if (!predicted[group]!.has(key)) continue;
        if (volume === null)
          throw new UserError(
            `--tta slices: draw ${number} of the scan ${key} could not be prepared: ${failure}`,
            { remedy: 'run the command again, with a longer --scan-deadline if the preparation was stopped' },
          );
        (volumes[key] ??= []).push(volume);
      }
    return { members, volumes };
  });
  return { draws: found, findings };
}

/** Scans with their plain volumes, then the same scans with their volumes of each further draw: `draws` lists. */
export function drawnScans(
  scans: readonly StoredScan[],
  { draws, volumes }: { draws: number; volumes: SliceDraws['volumes'] },
): StoredScan[][] {
  const further = (d: number) => scans.map((scan) => ({ ...scan, volume: volumes[scan.key]![d - 1]! }));
  return Array.from({ length: draws }, (_, d) => (d === 0 ? [...scans] : further(d)));
}
