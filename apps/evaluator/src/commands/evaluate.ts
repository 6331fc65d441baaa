// The command evaluate: tables of scores of every member, submission and subset, as in tables 3 and 5 of the paper.
import { print, printError } from '@ct-ensemble/core';
import {
  augmentationGains,
  chosenSubmissions,
  evaluateResults,
  readRunResults,
  renderCombinations,
  renderEvaluation,
  renderGains,
  renderOutOfFold,
} from '@ct-ensemble/ensemble';
import { Command } from 'commander';
import { groupScoresOf, groupText } from './group-scores.ts';
import { runInputOf } from '../report/input/read-run.ts';
import { scoresOfRun } from '../report/model/report-of-run.ts';
import { unlabelledOf } from '../report/model/unlabelled.ts';
import { doubtText } from '../report/tables/doubt-text.ts';
import { intervalTable } from '../report/tables/interval-table.ts';
import { tableJson, tableText } from '../report/tables/render-tables.ts';

interface EvaluateOptions {
  run: string;
  json?: boolean;
}

export function evaluateCommand(): Command {
  return new Command('evaluate')
    .description(
      'Scores every member and every subset of the members of a run; members of folds out of fold.',
    )
    .requiredOption('--run <dir>', 'folder of the run')
    .option('--json', 'print the scores as JSON')
    .action(async (options: EvaluateOptions) => {
      process.exitCode = await evaluate(options);
    });
}

/** Runs the command. Returns the exit code: 1 if a member is done but cannot be scored, else 0. */
async function evaluate({ run, json }: EvaluateOptions): Promise<number> {
  const results = await readRunResults(run);
  const chosen = chosenSubmissions(results);
  const evaluation = await evaluateResults(run, results, chosen);
  const gains = await augmentationGains(run, results, { chosen });
  const { input } = await runInputOf(results, { run, chosen, augmentation: gains });
  const intervals = scoresOfRun(input).map(intervalTable);
  const groups = groupScoresOf(input);
  const doubt = unlabelledOf(input);
  const { recipe, val, outOfFold, test, missing, failures, unusable, notScored, findings } = evaluation;
  const { combinations } = evaluation;
  if (json) {
    print(
      JSON.stringify(
        { ...evaluation, intervals: intervals.map(tableJson), groups, augmentation: gains, doubt },
        null,
        2,
      ),
    );
  } else {
    print(`Run ${run}, recipe ${recipe}`);
    if (missing.length > 0) print(`Not trained yet, so not in the tables: ${missing.join(', ')}`);
    for (const { member, reason } of failures) print(`The training of ${member} failed: ${reason}`);
    if (unusable.length > 0)
      print(`Not usable, so not in the tables: ${unusable.map(({ member }) => member).join(', ')}`);
    const tables = outOfFold ? 'table of test scans' : 'tables';
    for (const { submission, members } of notScored)
      print(`The submission ${submission} is not in the ${tables}: it needs ${members.join(', ')}`);
    if (val) {
      print(`\nValidation scans (the best epoch of each member was chosen on these scans)\n`);
      print(renderEvaluation(val));
    }
    if (outOfFold) {
      print(
        `\nOut-of-fold scores (the best epoch of each member was chosen on its own fold, so they are slightly too good)\n`,
      );
      print(renderOutOfFold(outOfFold));
    }
    if (combinations.length > 0) {
      print(
        `\nChosen combinations, in % (nested: each fold is answered by the choice that was made on the other folds)\n`,
      );
      print(renderCombinations(combinations, outOfFold!.classes));
    }
    if (test) print(`\nTest scans\n\n${renderEvaluation(test)}`);
    if (gains.length > 0)
      print(`\nTest-time augmentation, in % (paired bootstrap over patients)\n\n${renderGains(gains)}`);
    for (const table of intervals) print(`\n${tableText(table)}`);
    for (const each of doubt) print(`\n${doubtText(each, input.classes)}`);
    for (const each of groups) print(`\n${groupText(each)}`);
  }
  for (const finding of findings) printError(`warning: ${finding}`);
  for (const { problem } of unusable) printError(`error: ${problem}`);
  return unusable.length > 0 ? 1 : 0;
}
