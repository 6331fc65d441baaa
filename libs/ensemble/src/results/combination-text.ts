// The chosen combinations of a run as plain text: the nested scores beside those of the mean, and the final choices.
import { choiceWords, type CombinationScores } from './combination.ts';
import { percent, table } from './evaluation-text.ts';

/** One table, in percent, and a line for each choice. */
export function renderCombinations(
  combinations: readonly CombinationScores[],
  classes: readonly string[],
): string {
  const rows = combinations.flatMap(({ submission, nested, mean, test }) => [
    [
      submission,
      ...[nested.macroF1, ...nested.f1, nested.accuracy].map(percent),
      test ? percent(test.macroF1) : '-',
    ],
    ['  mean of the same members', ...[mean.macroF1, ...mean.f1, mean.accuracy].map(percent), ''],
  ]);
  const head = [
    'submission',
    'macro F1',
    ...classes.map((name) => `F1 ${name}`),
    'accuracy',
    'macro F1 of test',
  ];
  const choices = combinations.map(
    ({ submission, choice }) => `${submission}: ${choiceWords(choice)} (chosen on ${choice.scans} scans)`,
  );
  return `${table([head, ...rows])}\n\nThe final choices, which submissions use for test scans:\n${choices.join('\n')}\n`;
}
