// The trainer's command line as a commander program. Building it runs nothing.
import { Command } from 'commander';
import { allMembersCommand } from './commands/all-members.ts';
import { dashboardCommand } from './commands/dashboard.ts';
import { filterCommand } from './commands/filter.ts';
import { logsCommand } from './commands/logs.ts';
import { memberCommand } from './commands/member.ts';
import { planCommand } from './commands/plan.ts';
import { predictCommand } from './commands/predict.ts';
import { prepareCommand } from './commands/prepare.ts';
import { previewCommand } from './commands/preview.ts';
import { segmenterCommand } from './commands/segmenter.ts';
import { statusCommand } from './commands/status.ts';
import { stopCommand } from './commands/stop.ts';

export function trainerProgram(): Command {
  const program = new Command('trainer').description(
    'Prepares data sets, trains the members of an ensemble and the two networks of the preparation.',
  );
  for (const command of [
    allMembersCommand,
    memberCommand,
    planCommand,
    statusCommand,
    logsCommand,
    stopCommand,
    dashboardCommand,
    predictCommand,
    prepareCommand,
    previewCommand,
    filterCommand,
    segmenterCommand,
  ])
    program.addCommand(command());
  return program;
}
