// The command evaluate: tables of scores of every member and every subset, as in tables 3 and 5 of the paper.
import { print } from '@ct-ensemble/core';
import { evaluateRun, renderEvaluation } from '@ct-ensemble/ensemble';
import { Command } from 'commander';

interface EvaluateOptions {
  run: string;
  json?: boolean;
}

export function evaluateCommand(): Command {
  return new Command('evaluate')
    .description('Scores every member and every subset of the members of a run.')
    .requiredOption('--run <dir>', 'folder of the run')
    .option('--json', 'print the scores as JSON')
    .action(evaluate);
}

async function evaluate({ run, json }: EvaluateOptions) {
  const evaluation = await evaluateRun(run);
  if (json) {
    print(JSON.stringify(evaluation, null, 2));
    return;
  }
  print(`Run ${run}, recipe ${evaluation.recipe}`);
  if (evaluation.missing.length > 0)
    print(`Not trained yet, so not in the tables: ${evaluation.missing.join(', ')}`);
  print(`\nValidation scans (the best epoch of each member was chosen on these scans)\n`);
  print(renderEvaluation(evaluation.val));
  if (evaluation.test) print(`\nTest scans\n\n${renderEvaluation(evaluation.test)}`);
}
