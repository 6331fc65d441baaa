// What test-time augmentation gains: the scores of members and of their mean with and without it, on the same scans.
import { existsSync } from 'node:fs';
import { type Interval, pairedDifferences, type ResamplingOptions, scoresOf } from '@ct-ensemble/evaluation';
import { isChosen } from '../recipes/schema.ts';
import { isFolded } from '../run/folds.ts';
import { augmentationOf } from '../run/test-time-augmentation.ts';
import { augmentedFile } from '../run-folder.ts';
import { chooseCombination, type ChosenSubmissions, chosenSubmissions } from './combination.ts';
import { percent, table } from './evaluation-text.ts';
import { groupsOf, outOfFold } from './out-of-fold.ts';
import { labelled } from './patients.ts';
import { meanProbabilities, type Probabilities, readProbabilities } from './probabilities.ts';
import { type RunResults } from './run-results.ts';
import { requireRunScans } from './run-scans.ts';

export interface AugmentationGain {
  split: 'val' | 'out-of-fold' | 'test';
  /**
   * The member, or of members of folds their group; a submission of the recipe; or `ensemble`: the mean of all members that have
   * probabilities with augmentation.
   */
  row: string;
  /** The augmentation, such as `flips,slices:4`; of several members that have several: all of them, joined by ` and `. */
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

type Side = 'plain' | 'augmented';

/**
 * The gains of the members that have probabilities with test-time augmentation, of their mean, and of the submissions all of whose
 * members have them, on the labelled scans of each split; of members of folds out of fold. A submission that chooses weights, a
 * temperature or a threshold makes its choice with augmentation anew and is nested on both sides. Empty if no member has any.
 * @throws UserError if such a file is damaged or of other scans than the run's.
 */
export async function augmentationGains(
  run: string,
  results: Pick<RunResults, 'plan' | 'members' | 'scans' | 'patients'>,
  options: ResamplingOptions & { chosen?: ChosenSubmissions } = {},
): Promise<AugmentationGain[]> {
  const { plan, scans, patients } = results;
  const { chosen = chosenSubmissions(results), ...resampling } = options;
  const [val, test] = [await pairsOf(run, 'val', results), await pairsOf(run, 'test', results)];
  const isOutOfFold = isFolded(plan.recipe);
  const gains: AugmentationGain[] = [];
  const gainOf = (
    { split, row, pairs }: { split: AugmentationGain['split']; row: string; pairs: readonly Pair[] },
    of: (side: Side) => Probabilities,
  ) => {
    const [before, after] = [of('plain'), of('augmented')].map((p) => labelled(p, patients));
    if (!before || !after) return;
    const { estimate, interval } = pairedDifferences(after, before, resampling).macroF1;
    gains.push({
      split,
      row,
      augmentation: [...new Set(pairs.map((pair) => augmentationOf(pair.augmented)))].join(' and '),
      scans: before.scans,
      plain: scoresOf(before).macroF1!,
      augmented: scoresOf(after).macroF1!,
      gain: { estimate, interval },
    });
  };
  for (const [split, pairs] of [
    [isOutOfFold ? 'out-of-fold' : 'val', val],
    ['test', test],
  ] as const) {
    const pooled = split === 'out-of-fold';
    const mean = (some: readonly Pair[]) => (side: Side) =>
      pooled
        ? outOfFold(
            some.map(({ name, fold, [side]: probabilities }) => ({ name, fold: fold!, probabilities })),
            scans.inFolds,
          )
        : meanProbabilities(
            some.map((pair) => pair[side]),
            some.map(({ name }) => name),
          );
    const named = (names: readonly string[]) => pairs.filter(({ name }) => names.includes(name));
    const singles = pooled
      ? groupsOf(plan).map(({ name, members }) => ({
          row: name,
          pairs: named(members.map((member) => member.name)),
        }))
      : pairs.map((pair) => ({ row: pair.name, pairs: [pair] }));
    for (const single of singles)
      if (single.pairs.length > 0) gainOf({ split, ...single }, mean(single.pairs));
    for (const submission of plan.recipe.submissions) {
      const { name: row, members } = submission;
      const own = named(members);
      if (own.length < members.length) continue;
      const choice = chosen.submissions.find(({ name }) => name === row)?.combination;
      if (choice === undefined) {
        const isShown = own.length === pairs.length || singles.some((each) => sameNames(each.pairs, own));
        // The mean of all follows; a submission whose choice could not be made is no mean.
        if (!isShown && !isChosen(submission)) gainOf({ split, row, pairs: own }, mean(own));
        continue;
      }
      const folded = val.flatMap(({ name, fold, augmented }) =>
        members.includes(name) ? [{ name, fold: fold!, probabilities: augmented }] : [],
      );
      if (folded.length < members.length) continue;
      const made = chooseCombination(submission, { plan, members: folded, scans });
      gainOf({ split, row, pairs: own }, (side) => {
        const combination = side === 'plain' ? choice : made;
        if (pooled) return combination.nested;
        return combination.apply(own.map(({ name, [side]: probabilities }) => ({ name, probabilities })));
      });
    }
    if (singles.filter((single) => single.pairs.length > 0).length > 1)
      gainOf({ split, row: 'ensemble', pairs }, mean(pairs));
  }
  return gains;
}

const sameNames = (a: readonly Pair[], b: readonly Pair[]) =>
  a.length === b.length && a.every(({ name }) => b.some((other) => other.name === name));

/** The members that have both kinds of probabilities of a split. */
async function pairsOf(
  run: string,
  split: 'val' | 'test',
  { plan, members, scans }: Pick<RunResults, 'plan' | 'members' | 'scans'>,
): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (const { name, probabilities } of members.usable) {
    const file = augmentedFile(run, name, split);
    const plain = probabilities[split];
    if (plain === undefined || !existsSync(file)) continue;
    const augmented = await readProbabilities(file);
    requireRunScans(augmented, scans.of(name, split), file);
    const { fold } = plan.members.find((member) => member.name === name)!;
    pairs.push({ name, fold, plain, augmented });
  }
  return pairs;
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
