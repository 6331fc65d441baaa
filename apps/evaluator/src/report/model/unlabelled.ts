// Doubt about scans whose class is not known, such as the test scans of a competition: it needs no labels.
import {
  answerOf,
  argmax,
  calibrateConformal,
  conformalSets,
  disagreement,
  entropy,
  type Predictions,
  predictionsOf,
  selectScans,
} from '@ct-ensemble/evaluation';
import type { RowInput, RunInput, SplitInput } from '../input/run-input.ts';
import { conformalAlpha } from './doubt.ts';
import type { UnlabelledReport } from './report-model.ts';
import { mainRowOf, scoredSplit, singlesOf } from './scored-split.ts';
import { counted, splitScans, unlabelledTitle } from './words.ts';

/** A report for each split that has scans without a known class. */
export function unlabelledOf(input: RunInput): UnlabelledReport[] {
  return input.splits.flatMap((split) => {
    if (split.rows.length === 0 || split.scans.every(({ label }) => label !== null)) return [];
    return [unlabelledReport(split, input)];
  });
}

function unlabelledReport(split: SplitInput, input: RunInput): UnlabelledReport {
  const { scans } = split;
  const classes = input.classes.length;
  const unknown = scans.flatMap(({ label }, i) => (label === null ? [i] : []));
  const main = mainRowOf(split);
  const answered = unknown.filter((i) => scans[i]!.failure === null && main.probabilities[i] !== null);
  const rowOf = ({ probabilities }: RowInput): Predictions | null =>
    answered.length === 0 || answered.some((i) => !probabilities[i])
      ? null
      : // The labels are not looked at.
        predictionsOf({
          classes,
          labels: answered.map(() => 0),
          probabilities: answered.map((i) => probabilities[i]!),
        });
  const p = rowOf(main);
  const singles = singlesOf(split)
    .filter(({ name }) => main.members.includes(name))
    .flatMap((row) => rowOf(row) ?? []);
  const between = singles.length > 1 ? disagreement(singles) : null;
  const { sets, note } = conformalOf(p, input);
  const perClass = new Array<number>(classes).fill(0);
  const doubtful = answered.map((i, at) => {
    const row = Float64Array.from(main.probabilities[i]!);
    const predicted = argmax(row);
    perClass[predicted]! += 1;
    return {
      key: scans[i]!.key,
      label: null,
      predicted,
      confidence: row[predicted]!,
      entropy: entropy(row) / Math.log(classes),
      mutualInformation: between?.mutualInformation[at] ?? null,
      votesAgainst: between?.votesAgainst[at] ?? null,
      conformal: sets?.[at] ?? null,
    };
  });
  const several = singles.length > 1 ? ` It is the mean of ${main.members.length}.` : '';
  return {
    split: split.split,
    title: unlabelledTitle(split.split),
    notes: [
      `The class of ${counted(unknown.length, splitScans[split.split])} is not known, so nothing is scored here. The table shows how sure ${main.name} is of each.${several}`,
      ...(note === null ? [] : [note]),
    ],
    main: main.name,
    perClass,
    scans: doubtful,
    answered: sets === null ? null : sets.filter((set) => answerOf(set) !== null).length,
    failed: unknown.flatMap((i) => {
      const { key, failure } = scans[i]!;
      return failure === null ? [] : [{ key, reason: failure }];
    }),
  };
}

/** The sets of these scans, calibrated on the scans whose class is known: out of fold if there are folds, else the validation scans. */
function conformalOf(
  p: Predictions | null,
  { splits, classes }: RunInput,
): { sets: number[][] | null; note: string | null } {
  const known = ['out-of-fold', 'val'].flatMap((name) => splits.filter(({ split }) => split === name))[0];
  const scored = known === undefined ? null : scoredSplit(known, classes.length);
  if (p === null || scored === null) return { sets: null, note: null };
  const answered = scored.scans.flatMap(({ failure }, i) => (failure === null ? [i] : []));
  if (answered.length === 0) return { sets: null, note: null };
  const row = mainRowOf(scored);
  const calibration = selectScans(row.predictions, answered);
  const rule = calibrateConformal(calibration, { alpha: conformalAlpha, method: 'lac' });
  const roughly =
    scored.split === 'val'
      ? 'The best epochs were chosen on the calibration scans, so this holds only roughly.'
      : 'These scans are answered by the members of all folds together, the calibration scans by those of one fold each, so this holds only roughly.';
  return {
    sets: conformalSets(rule, p.probabilities),
    note: `Conformal sets are calibrated on the answers of ${row.name} to the ${counted(calibration.scans, splitScans[scored.split])}. ${rule.guarantee} ${roughly} One class in the set: it is the answer. None or several: the scan goes to a reader.`,
  };
}
