// A member's files of probabilities: what they must hold for the run's scans, and which of them are missing.
import { UserError } from '@ct-ensemble/core';
import type { StoredScan } from '@ct-ensemble/data';
import { isDeepStrictEqual } from 'node:util';
import { type Probabilities, readProbabilities } from '../results/probabilities.ts';
import { submissionNames } from '../results/scan-names.ts';
import { augmentationName, augmentationOf, type TestTimeAugmentation } from './test-time-augmentation.ts';
import { augmentedFile, probabilitiesFile } from '../run-folder.ts';

export type PredictedSplit = 'val' | 'test';
export const PREDICTED_SPLITS: readonly PredictedSplit[] = ['val', 'test'];

/** Adds the scans' names and labels to their probabilities; `rows` belong to the scans of the split that have a volume. */
export function asProbabilities(
  rows: number[][],
  { split, scans, classes }: { split: PredictedSplit; scans: readonly StoredScan[]; classes: string[] },
): Probabilities {
  const inSplit = scans.filter((scan) => scan.split === split);
  const names = submissionNames(inSplit);
  const labelled = inSplit.map((scan, i) => ({ ...scan, name: names[i]! }));
  const label = ({ key, name, label }: StoredScan) => ({ key, name, label });
  return {
    classes,
    split,
    scans: labelled.filter(({ volume }) => volume !== null).map(label),
    rows,
    failed: labelled
      .filter(({ volume }) => volume === null)
      .map((scan) => ({ ...label(scan), reason: scan.failure ?? 'has no volume' })),
  };
}

/** The splits whose file of probabilities is missing, damaged or of other scans than the run's; a trained member is asked for these again. */
export async function missingProbabilities(
  run: string,
  member: string,
  {
    scans,
    classes,
    augmentation,
  }: {
    scans: readonly StoredScan[];
    classes: string[];
    /** Ask for the files of this test-time augmentation instead; those of another one count as missing. */
    augmentation?: TestTimeAugmentation | undefined;
  },
): Promise<PredictedSplit[]> {
  const fileOf = augmentation === undefined ? probabilitiesFile : augmentedFile;
  const by = augmentation && { augmentation: augmentationName(augmentation) };
  const missing: PredictedSplit[] = [];
  for (const split of PREDICTED_SPLITS) {
    const expected = { ...asProbabilities([], { split, scans, classes }), ...by };
    const found = await readProbabilities(fileOf(run, member, split)).catch((error: unknown) => {
      if (error instanceof UserError) return undefined;
      throw error;
    });
    const made = { ...found, rows: [], ...(found && by && { augmentation: augmentationOf(found) }) };
    if (!isDeepStrictEqual(made, expected)) missing.push(split);
  }
  return missing;
}
