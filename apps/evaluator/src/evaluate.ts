// The command evaluate: tables like the paper's 3 and 5.
import { evaluateRun, renderEvaluation } from '@ct-ensemble/ensemble';

export async function evaluateCommand({ run, json }: { run: string; json?: boolean }) {
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
