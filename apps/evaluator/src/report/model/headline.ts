// What a run says, in a few sentences: the best row and its interval, what the differences can carry, what is missing.
import type { RunInput } from '../input/run-input.ts';
import type { RowReport, RunReport, SplitReport } from './report-model.ts';
import { counted, inWords, scoreText, splitScans, withInterval } from './words.ts';

export function headlineOf(
  input: RunInput,
  { splits, classes }: Pick<RunReport, 'splits' | 'classes'>,
): string[] {
  const [first] = splits;
  return [
    ...(first === undefined
      ? ['No scan with a known class has probabilities, so nothing is scored.']
      : ofSplit(first, classes)),
    ...splits
      .slice(1)
      .map((split) => `${counted(split.scans, splitScans[split.split])}: ${bestWords(split)}`),
    ...missingWords(input, splits),
  ];
}

function ofSplit(split: SplitReport, classes: readonly string[]): string[] {
  const { constant, comparisons, scans, patients, perClass, rows } = split;
  const clear = comparisons.pairs.filter(({ distinguishable }) => distinguishable);
  const roughClasses = classes.filter((_, k) => perClass[k]! < 10);
  return [
    `On ${counted(scans, splitScans[split.split])} of ${counted(patients, 'patient')}, ${bestWords(split)}`,
    ...(rows.length > 1
      ? ['The best row of several is picked by its score on these scans, so its figure is somewhat too good.']
      : []),
    `Answering ${classes[constant.class]} for every scan would give a macro F1 of ${scoreText(constant.scores.macroF1)}.`,
    ...(comparisons.pairs.length === 0 ? [] : [differenceWords(comparisons, clear)]),
    ...(roughClasses.length === 0
      ? []
      : [`There are fewer than ten scans of ${inWords(roughClasses)}, so all intervals are rough.`]),
    ...(split.split === 'val'
      ? ['The best epoch of each member was chosen on these scans, so new scans will give lower figures.']
      : []),
  ];
}

function bestWords({ rows }: SplitReport): string {
  const score = ({ scores }: RowReport) => scores.macroF1.estimate!;
  const best = rows.reduce((a, b) => (score(b) > score(a) ? b : a));
  const what = ({ kind, members, choice }: RowReport) =>
    kind === 'ensemble'
      ? ` (the mean of ${members.length})`
      : choice === null
        ? ''
        : ` (chosen out of fold: ${choice})`;
  const figure = `a macro F1 of ${withInterval(best.scores.macroF1)}`;
  if (rows.length === 1) return `${best.name}, the only row, has ${figure}.`;
  const equal = rows.filter((row) => score(row) === score(best));
  if (equal.length > 1)
    return `${equal.length} of ${rows.length} rows share the best score, among them ${equal.at(-1)!.name}${what(equal.at(-1)!)}: ${figure}.`;
  return `the best of ${rows.length} rows is ${best.name}${what(best)}, with ${figure}.`;
}

function differenceWords(
  { pairs: { length: pairs }, against }: SplitReport['comparisons'],
  clear: SplitReport['comparisons']['pairs'],
): string {
  const which = against === null ? 'between rows' : `of a row from ${against}`;
  if (clear.length === 0) {
    return pairs === 1
      ? 'The difference between the two rows cannot be distinguished from chance on these scans.'
      : `None of the ${pairs} differences ${which} can be distinguished from chance on these scans: the order of the rows may be another on new scans.`;
  }
  const named = clear.slice(0, 3).map(({ a, b, difference }) => {
    const [better, worse] = difference.estimate! > 0 ? [a, b] : [b, a];
    return `${better} is better than ${worse}`;
  });
  const rest = clear.length > 3 ? `, and ${clear.length - 3} more` : '';
  return `${clear.length} of ${pairs} differences ${which} can be distinguished from chance: ${named.join('; ')}${rest}. The others cannot.`;
}

function missingWords(input: RunInput, splits: readonly SplitReport[]): string[] {
  const absent = input.members.filter(({ state }) => state !== 'done');
  const unscored = input.submissions.filter(({ missing }) => missing.length > 0);
  const failed = splits[0]?.failed.length ?? 0;
  const unlabelled = input.splits.filter(
    ({ scans }) => scans.length > 0 && scans.every(({ label }) => label === null),
  );
  const unknown = splits.some((split) => split.notes.includes(patientsUnknown));
  return [
    ...(absent.length > 0
      ? [`Missing from the tables: ${inWords(absent.map(({ name, state }) => `${name} (${state})`))}.`]
      : []),
    ...(unscored.length > 0
      ? [
          `Submissions that cannot be scored: ${inWords(unscored.map(({ name, missing }) => `${name}, which needs ${inWords(missing)}`))}.`,
        ]
      : []),
    ...(failed > 0
      ? [
          `${counted(failed, 'scan')} could not be prepared and count${failed === 1 ? 's' : ''} as the class predicted most often.`,
        ]
      : []),
    ...unlabelled.map(
      ({ split, scans }) =>
        `The classes of ${counted(scans.length, splitScans[split])} are not known, so nothing is scored on them.`,
    ),
    ...(unknown ? [patientsUnknown] : []),
    ...input.findings.map((finding) => `Warning: ${finding}.`),
  ];
}

/** Stands in the notes of a split whose scans name no patient. */
export const patientsUnknown =
  'The patients of some scans are not known. Each of these scans counts as a patient of its own; if a patient has several, the intervals are too narrow.';
