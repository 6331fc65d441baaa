// The evaluator's command line as a commander program. Building it runs nothing.
import { Command } from 'commander';
import { evaluateCommand } from './commands/evaluate.ts';
import { explainCommand } from './commands/explain.ts';
import { submitCommand } from './commands/submit.ts';

export function evaluatorProgram(): Command {
  const program = new Command('evaluator').description(
    'Evaluates a run, writes its submissions and explains its answers.',
  );
  for (const command of [evaluateCommand, submitCommand, explainCommand]) program.addCommand(command());
  return program;
}
