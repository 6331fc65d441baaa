// What test-time augmentation gains: the scores of members and of their mean with and without it, on the same scans.
import { existsSync } from 'node:fs';
import {
  type Interval,
  pairedDifferences,
  type Predictions,
  predictionsOf,
  type ResamplingOptions,
  scoresOf,
} from '@ct-ensemble/evaluation';
import { isFolded } from '../run/folds.ts';
import { augmentationOf } from '../run/test-time-augmentation.ts';
import { augmentedFile } from '../run-folder.ts';
import { percent, table } from './evaluation-text.ts';
import { outOfFold } from './out-of-fold.ts';
import { meanProbabilities, type Probabilities, readProbabilities } from './probabilities.ts';
import { type RunResults } from './run-results.ts';
import { requireRunScans } from './run-scans.ts';

export interface AugmentationGain {
  split: 'val' | 'out-of-fold' | 'test';
  /** The member, or `ensemble`: the mean of all members that have probabilities with augmentation. */
  row: string;
  /** The augmentation, such as `flips,slices:4`; of an ensemble whose members have several: all of them, joined by ` and `. */
  augmentation: string;
  /** Scans with a label and probabilities. */
  scans: number;
  /** Macro F1, 0 … 1. */
  plain: number;
  augmented: number;
  /** Macro F1 with minus without; its interval by the paired bootstrap over patients. */
  gain: Pick<Interval, 'estimate' | 'interval'>;
}

interface Pair {
  name: string;
  fold: number | undefined;
  plain: Probabilities;
  augmented: Probabilities;
}

type GainInput = Omit<Pair, 'fold'> & { augmentation: string };

/**
 * The gains of the members that have probabilities with test-time augmentation, on the labelled scans of each split; of members of folds
 * out of fold: each member on its own fold, and the ensemble on all folds. Empty if no member has any.
 * @throws UserError if such a file is damaged or of other scans than the run's.
 */
export async function augmentationGains(
  run: string,
  { plan, members, scans, patients }: Pick<RunResults, 'plan' | 'members' | 'scans' | 'patients'>,
  options: ResamplingOptions = {},
): Promise<AugmentationGain[]> {
  const gains: AugmentationGain[] = [];
  for (const split of ['val', 'test'] as const) {
    const pairs: Pair[] = [];
    for (const { name, probabilities } of members.usable) {
      const file = augmentedFile(run, name, split);
      const plain = probabilities[split];
      if (plain === undefined || !existsSync(file)) continue;
      const augmented = await readProbabilities(file);
      requireRunScans(augmented, scans.of(name, split), file);
      const fold = plan.members.find((member) => member.name === name)!.fold;
      pairs.push({ name, fold, plain, augmented });
    }
    const isOutOfFold = split === 'val' && isFolded(plan.recipe);
    const place = isOutOfFold ? 'out-of-fold' : split;
    const gainOf = ({ name: row, augmentation, plain, augmented }: GainInput) => {
      const [before, after] = [plain, augmented].map((p) => labelled(p, patients));
      if (!before || !after) return;
      const { estimate, interval } = pairedDifferences(after, before, options).macroF1;
      const [plainF1, augmentedF1] = [before, after].map((p) => scoresOf(p).macroF1!) as [number, number];
      const counts = { scans: before.scans, plain: plainF1, augmented: augmentedF1 };
      gains.push({ split: place, row, augmentation, ...counts, gain: { estimate, interval } });
    };
    for (const pair of pairs) gainOf({ ...pair, augmentation: augmentationOf(pair.augmented) });
    if (pairs.length < 2) continue;
    const meanOf = (of: 'plain' | 'augmented') =>
      isOutOfFold
        ? outOfFold(
            pairs.map((pair) => ({ name: pair.name, fold: pair.fold!, probabilities: pair[of] })),
            scans.inFolds,
          )
        : meanProbabilities(
            pairs.map((pair) => pair[of]),
            pairs.map(({ name }) => name),
          );
    const augmentation = [...new Set(pairs.map((pair) => augmentationOf(pair.augmented)))].join(' and ');
    gainOf({ name: 'ensemble', augmentation, plain: meanOf('plain'), augmented: meanOf('augmented') });
  }
  return gains;
}

function labelled(p: Probabilities, patients: ReadonlyMap<string, string>): Predictions | undefined {
  const kept = p.scans.flatMap((scan, i) =>
    scan.label === null ? [] : [{ ...scan, label: scan.label, row: p.rows[i]! }],
  );
  if (kept.length === 0) return undefined;
  return predictionsOf({
    classes: p.classes.length,
    labels: kept.map(({ label }) => label),
    probabilities: kept.map(({ row }) => row),
    patients: kept.map(({ key }) => patients.get(key) ?? `scan ${key}`),
  });
}

const titles = { val: 'validation', 'out-of-fold': 'out of fold', test: 'test' };

/** One table, in percent. */
export function renderGains(gains: readonly AugmentationGain[]): string {
  const signed = (value: number) => `${value >= 0 ? '+' : ''}${percent(value)}`;
  return `${table([
    ['members', 'scans', 'of', 'augmentation', 'macro F1', 'with it', 'gain', '95 % interval'],
    ...gains.map(({ row, split, augmentation, scans, plain, augmented, gain }) => [
      row,
      String(scans),
      titles[split],
      augmentation,
      percent(plain),
      percent(augmented),
      gain.estimate === null ? '-' : signed(gain.estimate),
      gain.interval === null ? '-' : gain.interval.map(signed).join(' … '),
    ]),
  ])}\n`;
}
