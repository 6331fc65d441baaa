// The evaluator's command line as a commander program. Building it runs nothing.
import { Command } from 'commander';
import { evaluateCommand } from './commands/evaluate.ts';
import { packCommand } from './commands/pack.ts';
import { predictCommand } from './commands/predict.ts';
import { submitCommand } from './commands/submit.ts';

export function evaluatorProgram(): Command {
  const program = new Command('evaluator').description(
    'Evaluates a run, writes its submissions, packs it and asks it about new scans.',
  );
  for (const command of [evaluateCommand, submitCommand, packCommand, predictCommand])
    program.addCommand(command());
  return program;
}
