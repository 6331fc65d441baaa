// The evaluator's command line as a commander program. Building it runs nothing.
import { Command } from 'commander';
import { checkCommand } from './commands/check.ts';
import { evaluateCommand } from './commands/evaluate.ts';
import { explainCommand } from './commands/explain.ts';
import { exportCommand } from './commands/export.ts';
import { packCommand } from './commands/pack.ts';
import { predictCommand } from './commands/predict.ts';
import { reportCommand } from './commands/report.ts';
import { serveCommand } from './commands/serve.ts';
import { submitCommand } from './commands/submit.ts';

export function evaluatorProgram(): Command {
  const program = new Command('evaluator').description(
    'Evaluates a run, explains its answers, writes a report about it and its submissions, checks submissions, exports its members, packs them, and answers new scans, also over HTTP.',
  );
  const commands = [
    evaluateCommand,
    explainCommand,
    reportCommand,
    submitCommand,
    checkCommand,
    exportCommand,
    packCommand,
    predictCommand,
    serveCommand,
  ];
  for (const command of commands) program.addCommand(command());
  return program;
}
