// The evaluator's command line as a commander program. Building it runs nothing.
import { Command } from 'commander';
import { evaluateCommand } from './commands/evaluate.ts';
import { reportCommand } from './commands/report.ts';
import { submitCommand } from './commands/submit.ts';

export function evaluatorProgram(): Command {
  const program = new Command('evaluator').description(
    'Evaluates a run, writes a report about it and its submissions.',
  );
  for (const command of [evaluateCommand, reportCommand, submitCommand]) program.addCommand(command());
  return program;
}
