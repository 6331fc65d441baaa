// The command submit: the submissions of a run, and tables of its predictions.
import { print, printError } from '@ct-ensemble/core';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { choiceWords, planFile, type SubmissionResult, submitRun } from '@ct-ensemble/ensemble';
import { Command } from 'commander';

const defaultRun = join('runs', 'quick');

/** A submission of more members is printed with their number. */
const MOST_NAMED = 8;

interface SubmitOptions {
  run?: string;
}

export function submitCommand(): Command {
  return new Command('submit')
    .description(
      "Writes the recipe's submissions: the mean of the members' probabilities, or the combination that the recipe chooses, one CSV file per class, and tables of the predictions.",
    )
    .option(
      '--run <dir>',
      'folder of the run (default: runs/quick; without --run it is trained first if it does not exist)',
    )
    .action(async (options: SubmitOptions) => {
      process.exitCode = await submit(options);
    });
}

/** Runs the command. Returns the exit code: 0 if all submissions are written, 1 otherwise; that of a failed training. */
async function submit(options: SubmitOptions): Promise<number> {
  const run = options.run ?? defaultRun;
  if (options.run === undefined && !existsSync(planFile(run))) {
    print(`There is no run in ${run} yet: training it first`);
    const code = await trainAllMembers(run);
    if (code !== 0) return code;
  }
  const { split, outOfFold, submissions, unusable, findings, unknownFiles } = await submitRun(run);
  if (split === 'val')
    print(
      outOfFold === null
        ? 'The data set has no test scans, so these submissions name its validation scans.'
        : 'The data set has no test scans, so these submissions name the scans of all folds, with out-of-fold probabilities.',
    );
  for (const submission of submissions) {
    const { name, members, combination, files, predictions, counts, failed } = submission;
    if (files.length === 0) {
      print(`${name}: NOT WRITTEN, because ${reasonsOf(submission).join(', and ')}`);
      continue;
    }
    const classes = Object.entries(counts).map(([label, count]) => `${count} ${label}`);
    const parts = members.length > MOST_NAMED ? `${members.length} members` : members.join(', ');
    const how = combination === undefined || combination.method === 'mean' ? 'mean' : combination.method;
    print(`${name} (${how} of ${parts}): ${classes.join(', ')}`);
    if (combination !== undefined) print(`  chosen out of fold: ${choiceWords(combination)}`);
    for (const file of files) print(`  ${file}`);
    print(`  ${predictions}`);
    for (const line of failed) print(`  no volume: ${line}`);
  }
  if (outOfFold !== null) print(`Out-of-fold probabilities of all finished members: ${outOfFold}`);
  if (unknownFiles.length > 0)
    print(`Left in place, because this command has not written them: ${unknownFiles.join(', ')}`);
  for (const finding of findings) printError(`warning: ${finding}`);
  for (const { problem } of unusable) printError(`error: ${problem}`);
  return submissions.some(({ files }) => files.length === 0) ? 1 : 0;
}

/** Why a submission is not written. */
function reasonsOf({ missing, unusable, uncoveredFolds }: SubmissionResult): string[] {
  return [
    ...(missing.length > 0 ? [`these members are not trained yet: ${missing.join(', ')}`] : []),
    ...(unusable.length > 0
      ? [`the probabilities of these members cannot be used: ${unusable.join(', ')}`]
      : []),
    ...(uncoveredFolds.length > 0
      ? [`none of its members was validated on fold ${uncoveredFolds.join(', ')}`]
      : []),
  ];
}

/** Runs `trainer all-members` in a process of its own, which gets this process's signals; returns its exit code. */
async function trainAllMembers(run: string): Promise<number> {
  const trainer = fileURLToPath(import.meta.resolve('@ct-ensemble/trainer/main'));
  const child = spawn(process.execPath, [trainer, 'all-members', '--run', run], { stdio: 'inherit' });
  const forward = (signal: NodeJS.Signals) => void child.kill(signal);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, forward);
  try {
    return await new Promise((resolve, reject) =>
      child
        .on('error', reject)
        .on('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 1))),
    );
  } finally {
    for (const signal of signals) process.off(signal, forward);
  }
}
