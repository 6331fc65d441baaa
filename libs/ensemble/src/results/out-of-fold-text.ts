// An out-of-fold evaluation as plain text: one row for each group, for submissions and the ensemble, and the best constant answer.
import { percent, table, WIDEST } from './evaluation-text.ts';
import type { OutOfFold, OutOfFoldScores } from './out-of-fold.ts';

/** One table, in percent, and the confusion matrix of the ensemble. */
export function renderOutOfFold(evaluation: OutOfFold): string {
  const { folds, scans, failed, uncovered, ensemble } = evaluation;
  const lines = [
    `${scans} scans in ${folds} folds by patient, scores in %. Each scan is answered by the members that were not trained on it.`,
    ...uncovered.map(
      ({ fold, scans }) =>
        `  fold ${fold} has no finished member: its ${scans} scans are in no row of the table`,
    ),
    ...(failed.length > 0
      ? [
          `${failed.length} of the scans failed and count as the class predicted most often, as in a submission:`,
          ...failed.map(({ key, reason }) => `  ${key}: ${reason}`),
        ]
      : []),
  ];
  const named = scoreTable(evaluation, evaluation.classes);
  const isWide = named.split('\n')[0]!.length > WIDEST;
  const classes = isWide ? evaluation.classes.map((_, i) => `[${i + 1}]`) : evaluation.classes;
  if (isWide)
    lines.push(`The classes are ${evaluation.classes.map((name, i) => `[${i + 1}] ${name}`).join(', ')}.`);
  const matrix = table([
    ['', ...classes],
    ...ensemble.pooled.matrix.map((counts, label) => [classes[label]!, ...counts.map(String)]),
  ]);
  const scoresText = isWide ? scoreTable(evaluation, classes) : named;
  const title = `Confusion matrix of the ensemble (rows: truth, columns: prediction)`;
  return `${[lines.join('\n'), scoresText, `${title}\n${matrix}`].join('\n\n')}\n`;
}

function scoreTable(evaluation: OutOfFold, classes: readonly string[]): string {
  const { folds, constant, groups, submissions, ensemble } = evaluation;
  const { class: name, scores } = constant;
  const row = ({ name, pooled, ...each }: OutOfFoldScores) => {
    const sd = each.sdMacroF1 === null ? '-' : percent(each.sdMacroF1);
    return [
      name,
      each.folds.length === folds ? String(folds) : `${each.folds.length} of ${folds}`,
      String(each.scans),
      ...[pooled.macroF1, ...pooled.f1, pooled.accuracy].map(percent),
      `${percent(each.meanMacroF1)} ± ${sd}`,
    ];
  };
  const ownClass = classes[evaluation.classes.indexOf(name)];
  return table([
    [
      'members',
      'folds',
      'scans',
      'macro F1',
      ...classes.map((name) => `F1 ${name}`),
      'accuracy',
      'by fold, mean ± sd',
    ],
    ...groups.map(row),
    ...submissions.map(row),
    ...(groups.length === 1 ? [] : [row(ensemble)]),
    [`always ${ownClass}`, '', '', ...[scores.macroF1, ...scores.f1, scores.accuracy].map(percent), ''],
  ]);
}
