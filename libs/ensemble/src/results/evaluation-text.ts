// An evaluation as plain text: a table like those of the paper, in percent, and the confusion matrix of all members.
import type { Evaluation, SubsetScores } from './evaluation.ts';
import type { AnswerScores } from '@ct-ensemble/evaluation';

/** With more members the text shows single members, the recipe's submissions and all members, but no other subset. */
const MOST_MEMBERS_WITH_SUBSETS = 4;
/** Tables wider than this many characters number the members, and then the classes, instead of naming them. */
export const WIDEST = 100;

/** How members and classes are written in the tables. */
interface Naming {
  /** The cell of a row of one member. */
  single: (member: string) => string;
  /** The members of a mean. */
  mean: (members: readonly string[]) => string;
  classes: readonly string[];
  /** Explains the names. */
  legend: string[];
}

/**
 * One table, in percent: the single members, the recipe's submissions by name, the other subsets if there are at most four
 * members, all members, and the best constant answer; then the confusion matrix of all members.
 */
export function renderEvaluation(evaluation: Evaluation): string {
  const { split, scans, failed, unlabelled, subsets } = evaluation;
  const whole = subsets.at(-1)!;
  const naming = narrowest(evaluation);
  const about = [
    `${scans} scans of split ${split}, scores in %.`,
    ...(unlabelled > 0 ? [`${unlabelled} more are left out: their class is not known.`] : []),
    ...(failed.length > 0
      ? [
          `${failed.length} of them failed and count as the class predicted most often, as in a submission. The column`,
          '"F1 without failed" is the macro F1 without them, which is what training reports. They are:',
        ]
      : []),
    ...failed.map(({ key, reason }) => `  ${key}: ${reason}`),
    ...naming.legend,
  ];
  const matrix = table([
    ['', ...naming.classes],
    ...whole.scores.matrix.map((counts, label) => [naming.classes[label]!, ...counts.map(String)]),
  ]);
  const title = `Confusion matrix of ${naming.mean(whole.subset)} (rows: truth, columns: prediction)`;
  return `${[about.join('\n'), scoreTable(evaluation, naming), `${title}\n${matrix}`].join('\n\n')}\n`;
}

/** The first naming whose table is narrow enough; if none is, the last. */
function narrowest(evaluation: Evaluation): Naming {
  const members = evaluation.subsets.filter(isSingle).map(({ subset }) => subset[0]!);
  const named: Naming = {
    single: (member) => member,
    mean: (names) => names.join(' + '),
    classes: evaluation.classes,
    legend: [],
  };
  const numbered: Naming = {
    ...named,
    single: (member) => `${members.indexOf(member) + 1}: ${member}`,
    mean: (names) =>
      names.length === 1 ? names[0]! : `mean of ${ranges(names.map((name) => members.indexOf(name) + 1))}`,
    legend: ['The members are numbered.'],
  };
  const short: Naming = {
    ...numbered,
    classes: evaluation.classes.map((_, i) => `[${i + 1}]`),
    legend: [
      ...numbered.legend,
      `The classes are ${evaluation.classes.map((name, i) => `[${i + 1}] ${name}`).join(', ')}.`,
    ],
  };
  const width = (naming: Naming) => scoreTable(evaluation, naming).split('\n')[0]!.length;
  return [named, numbered].find((naming) => width(naming) <= WIDEST) ?? short;
}

function scoreTable(evaluation: Evaluation, naming: Naming): string {
  const { failed, constant, classes, subsets } = evaluation;
  const others = failed.length > 0;
  const row = (name: string, { macroF1, f1, accuracy }: AnswerScores, withoutFailed: string) => [
    name,
    ...[macroF1, ...f1, accuracy].map(percent),
    ...(others ? [withoutFailed] : []),
  ];
  const rowOf = (name: string, { scores, withoutFailed }: SubsetScores) =>
    row(name, scores, withoutFailed === null ? '-' : percent(withoutFailed.macroF1));
  const whole = subsets.at(-1)!;
  const singles = subsets.filter(isSingle);
  const between = subsets.filter((each) => !isSingle(each) && each !== whole);
  const submissions = evaluation.submissions.flatMap((name) => {
    const each = subsets.find((subset) => subset.submissions.includes(name))!;
    // A submission of one member that has the member's name is that member's row.
    if (isSingle(each) && each.subset[0] === name) return [];
    return [rowOf(`${name} = ${naming.mean(each.subset)}`, each)];
  });
  const unnamed = singles.length <= MOST_MEMBERS_WITH_SUBSETS ? between : [];
  const rest = [...unnamed, ...(isSingle(whole) ? [] : [whole])].filter(
    (each) => each.submissions.length === 0,
  );
  return table([
    [
      'members',
      'macro F1',
      ...naming.classes.map((name) => `F1 ${name}`),
      'accuracy',
      ...(others ? ['F1 without failed'] : []),
    ],
    ...singles.map((each) => rowOf(naming.single(each.subset[0]!), each)),
    ...submissions,
    ...rest.map((each) => rowOf(naming.mean(each.subset), each)),
    row(`always ${naming.classes[classes.indexOf(constant.class)]}`, constant.scores, ''),
  ]);
}

const isSingle = ({ subset }: SubsetScores) => subset.length === 1;

/** `1–3, 5` for 1, 2, 3, 5: in the order given. */
function ranges(numbers: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const number of numbers) {
    const last = parts.at(-1);
    if (last?.[1] === number - 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.map(([from, to]) => (from === to ? String(from) : `${from}–${to}`)).join(', ');
}

export const percent = (score: number) => (100 * score).toFixed(2);

/** Aligned columns: the first to the left, the others to the right. */
export function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row.map((cell, c) => (c === 0 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!))).join('  '),
    )
    .join('\n');
}
