// The report of a run as a model: everything that is computed for it, and nothing about how it looks.
import {
  checkSameScans,
  reliabilityBins,
  selectScans,
  sizeCurve,
  answerAgreement,
  thresholdCurve,
  defaultResamples,
  drawResamples,
  type Resamples,
} from '@ct-ensemble/evaluation';
import type { RunInput, SplitInput } from '../input/run-input.ts';
import { combinationOf } from './combination.ts';
import { comparisonsOf } from './comparisons.ts';
import { doubtOf } from './doubt.ts';
import { errorsOf, pictureGroupsOf } from './errors.ts';
import { groupsOf } from './groups.ts';
import { headlineOf, patientsUnknown } from './headline.ts';
import { paperTable } from './paper.ts';
import type { RowReport, RunReport, SplitReport } from './report-model.ts';
import { constantRow, type EvaluationOptions, rowReport } from './rows.ts';
import { mainRowOf, type ScoredSplit, scoredSplit, singlesOf } from './scored-split.ts';
import { unlabelledOf } from './unlabelled.ts';
import { counted, inWords, splitTitles } from './words.ts';

/** The order in which splits are reported: the most trustworthy first. */
const order = ['out-of-fold', 'test', 'val'] as const;

/** Pairs of members whose agreement is shown, at most; the first members of the run. */
const mostAgreeing = 16;

/**
 * Everything that a report says about a run. Equal inputs and options give equal reports.
 * @throws {EvaluationInputError} naming the scan if probabilities or labels break a rule of `predictionsOf`.
 */
export function reportOfRun(input: RunInput, options: EvaluationOptions = {}): RunReport {
  const splits = order.flatMap((split) => {
    const found = input.splits.find((each) => each.split === split);
    const scored = found === undefined ? null : scoredSplit(found, input.classes.length);
    return scored === null ? [] : [splitReport(scored, { input, found: found!, options })];
  });
  const { run, recipe, task, classes, positive, dataset, submissions, findings, versions } = input;
  return {
    run,
    headline: headlineOf(input, { splits, classes: [...classes] }),
    recipe,
    task,
    classes: [...classes],
    positive,
    dataset,
    members: [...input.members],
    submissions,
    findings: [...findings],
    versions: [...versions],
    level: 0.95,
    resamples: typeof options.resamples === 'number' ? options.resamples : defaultResamples,
    splits,
    unlabelled: unlabelledOf(input),
  };
}

/** The scores of every row with their intervals, split by split: the part of a report that the command line prints. */
export function scoresOfRun(input: RunInput, options: EvaluationOptions = {}): RunScores[] {
  return order.flatMap((split) => {
    const found = input.splits.find((each) => each.split === split);
    const scored = found === undefined ? null : scoredSplit(found, input.classes.length);
    if (scored === null) return [];
    const shared = withResamples(scored, options);
    const rows = scored.rows.map((row) => rowReport(row, scored, shared));
    return [{ split, title: splitTitles[split], patients: scored.rows[0]!.predictions.patientCount, rows }];
  });
}

export interface RunScores {
  split: SplitInput['split'];
  title: string;
  patients: number;
  rows: RowReport[];
}

/** With the resamples of the split's patients, drawn once for all rows. */
function withResamples(
  { rows }: ScoredSplit,
  options: EvaluationOptions,
): EvaluationOptions & { resamples: Resamples } {
  const { seed = 0, resamples: count = defaultResamples } = options;
  const patients = rows[0]!.predictions.patientCount;
  return {
    ...options,
    resamples: typeof count === 'object' ? count : drawResamples({ patients, seed, count }),
  };
}

function splitReport(
  split: ScoredSplit,
  { input, found, options: given }: { input: RunInput; found: SplitInput; options: EvaluationOptions },
): SplitReport {
  const options = withResamples(split, given);
  const main = mainRowOf(split);
  const p = main.predictions;
  for (const row of split.rows) checkSameScans(p, row.predictions);
  const singles = singlesOf(split);
  const rows = split.rows.map((row) => rowReport(row, split, options));
  const classes = [...input.classes];
  const hasFolds = input.splits.some((each) => each.split === 'out-of-fold');
  const answered = [...split.scans.keys()].filter((i) => split.scans[i]!.failure === null);
  return {
    split: split.split,
    title: splitTitles[split.split],
    notes: notesOf(split, rows, classes),
    scans: p.scans,
    patients: p.patientCount,
    perClass: classes.map((_, k) => p.labels.reduce((sum, label) => sum + (label === k ? 1 : 0), 0)),
    unlabelled: split.unlabelled,
    failed: found.scans.flatMap(({ key, failure, label }) =>
      failure === null || label === null ? [] : [{ key, reason: failure }],
    ),
    main: main.name,
    rows,
    constant: constantRow(split),
    comparisons: comparisonsOf(split, options),
    paper:
      split.split === 'out-of-fold' ? null : paperTable(input, { split: split.split, rows, scans: p.scans }),
    combination: combinationOf(split, { classes, hasFolds, options }),
    augmentation: input.augmentation
      .filter((each) => each.split === split.split)
      .map(({ row, augmentation, scans, plain, augmented, gain }) => ({
        ...{ row, augmentation, scans, plain, augmented },
        gain: { ...gain, method: 'bca', percentile: null },
      })),
    sizeCurve:
      singles.length > 1
        ? sizeCurve(
            singles.map(({ predictions }) => predictions),
            { seed: options.seed ?? 0 },
          )
        : [],
    agreement: singles.slice(0, mostAgreeing).flatMap((a, i) =>
      singles.slice(i + 1, mostAgreeing).map((b) => ({
        a: a.name,
        b: b.name,
        agreement: answerAgreement(a.predictions, b.predictions),
      })),
    ),
    doubt: doubtOf(split, options),
    reliability: reliabilityBins(answered.length === 0 ? p : selectScans(p, answered)),
    curves: classes.map((_, k) => thresholdCurve(p, k)),
    groups: groupsOf(split, given),
    errors: errorsOf(split),
    pictures: pictureGroupsOf(split, { classes, positive: input.positive }),
  };
}

const meanings: Record<SplitInput['split'], string> = {
  'out-of-fold':
    'Every scan is answered by members that were not trained on it: each fold by the members that left it out. The best epoch of each member was chosen on its own fold, so the figures are slightly too good.',
  test: 'No member was trained on these scans, and nothing was chosen on them.',
  val: 'The best epoch of each member was chosen on these scans, so the figures are too good for new scans.',
};

function notesOf(split: ScoredSplit, rows: readonly RowReport[], classes: readonly string[]): string[] {
  const absent = new Set(rows.flatMap(({ absentInBoth }) => absentInBoth));
  const missing = classes.filter((_, k) => split.scans.every(({ label }) => label !== k));
  const failed = split.scans.filter(({ failure }) => failure !== null).length;
  return [
    meanings[split.split],
    ...(missing.length > 0
      ? [
          `No scan is of the class ${inWords(missing)}: its recall, AUROC and AUPRC are undefined (a dash) and left out of the means over classes.`,
        ]
      : []),
    ...(absent.size > 0
      ? [
          `A class that is absent in truth and prediction counts 0 in the macro F1, as in the competition: ${inWords(classes.filter((_, k) => absent.has(k)))}.`,
        ]
      : []),
    ...(split.unlabelled > 0
      ? [
          `${counted(split.unlabelled, 'scan')} without a known class ${split.unlabelled === 1 ? 'is' : 'are'} left out.`,
        ]
      : []),
    ...(failed > 0
      ? [
          `${counted(failed, 'scan')} could not be prepared and ${failed === 1 ? 'is' : 'are'} answered with the shares of the predicted classes, as a submission calls ${failed === 1 ? 'it' : 'them'} the class predicted most often.`,
        ]
      : []),
    ...(split.patientsKnown ? [] : [patientsUnknown]),
  ];
}
