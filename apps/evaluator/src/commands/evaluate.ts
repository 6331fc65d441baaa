// The command evaluate: scores of members and subsets, in tables like 3 and 5 of the paper.
import { evaluateRun, renderEvaluation } from '@ct-ensemble/ensemble';
import { Command } from 'commander';

interface EvaluateOptions {
  run: string;
  json?: boolean;
}

export function evaluateCommand(): Command {
  return new Command('evaluate')
    .description('Scores every member and every subset of members.')
    .requiredOption('--run <dir>', 'folder of the run')
    .option('--json', 'print the scores as JSON')
    .action(evaluate);
}

async function evaluate({ run, json }: EvaluateOptions) {
  const evaluation = await evaluateRun(run);
  if (json) {
    console.log(JSON.stringify(evaluation, null, 2));
    return;
  }
  console.log(`Run ${run}, recipe ${evaluation.recipe}`);
  if (evaluation.missing.length > 0)
    console.log(`Not done, so not in the tables: ${evaluation.missing.join(', ')}`);
  console.log(`\nValidation scans (each member's best epoch was chosen on them)\n`);
  console.log(renderEvaluation(evaluation.val));
  if (evaluation.test) console.log(`\nTest scans\n\n${renderEvaluation(evaluation.test)}`);
}
