// The evaluator's command line as a commander program. Building it runs nothing.
import { Command } from 'commander';
import { checkCommand } from './commands/check.ts';
import { evaluateCommand } from './commands/evaluate.ts';
import { explainCommand } from './commands/explain.ts';
import { reportCommand } from './commands/report.ts';
import { submitCommand } from './commands/submit.ts';

export function evaluatorProgram(): Command {
  const program = new Command('evaluator').description(
    'Evaluates a run, explains its answers, writes a report about it and its submissions, and checks submissions.',
  );
  for (const command of [evaluateCommand, explainCommand, reportCommand, submitCommand, checkCommand])
    program.addCommand(command());
  return program;
}
