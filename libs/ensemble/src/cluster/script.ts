// The batch scripts of a run on Slurm, as text: preparation, members, evaluation. Rendering touches no file and no queue.
import { UserError } from '@ct-ensemble/core';
import type { JobRequest } from './settings.ts';

export interface ScriptBase {
  jobName: string;
  /** Real path of the run's folder, in which the job starts. */
  run: string;
  request: JobRequest;
  /** Lines of the site file that are executed first, such as `module load`. */
  setup: readonly string[];
}

export interface MembersScript extends ScriptBase {
  /** Name of each member; its position is its index in the job array. */
  members: readonly string[];
  /** Members that train at the same time at most; undefined: as many as the cluster admits. */
  parallel?: number | undefined;
  /** Seconds before the time limit at which the member is told to write a checkpoint. */
  signalSeconds: number;
  /** Program and arguments without `--member NAME`, which the script adds. */
  command: readonly string[];
}

/** Folder of Slurm's files in a run, and of the output files in it; relative to the run's folder. */
export const SLURM_FOLDER = 'slurm';
export const LOGS_FOLDER = 'slurm/logs';

/**
 * The script of a job array with one member a task. `exec` replaces the shell by the program: the signal before the time limit,
 * and the one of `scancel`, then reach the program itself.
 */
export function membersScript(options: MembersScript): string {
  const { members, parallel, command, signalSeconds } = options;
  const atOnce = parallel === undefined ? '' : `%${parallel}`;
  return script(options, {
    directives: [
      `--array=0-${members.length - 1}${atOnce}`,
      `--output=${LOGS_FOLDER}/%x-%A_%a.out`,
      `--signal=B:USR2@${signalSeconds}`,
    ],
    body: [
      'members=(',
      ...members.map((name) => `  ${shellWord(name)}`),
      ')',
      'member=${members[SLURM_ARRAY_TASK_ID]}',
      `exec >>"${LOGS_FOLDER}/$member-\${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID-\${SLURM_RESTART_COUNT:-0}.log" 2>&1`,
      ...options.setup,
      `exec ${commandLine(command)} \\\n  --member "$member"`,
    ],
  });
}

/** The script of a job that runs these commands one after the other, also after one that fails; it fails if one of them fails. */
export function commandsScript(options: ScriptBase & { commands: readonly (readonly string[])[] }): string {
  const { commands, setup } = options;
  const directives = [`--output=${LOGS_FOLDER}/%x-%j.out`];
  const [only] = commands;
  return script(options, {
    directives,
    body:
      commands.length === 1
        ? [...setup, `exec ${commandLine(only!)}`]
        : [
            ...setup,
            'status=0',
            ...commands.map((command) => `${commandLine(command)} || status=1`),
            'exit "$status"',
          ],
  });
}

function script(
  { jobName, run, request }: ScriptBase,
  { directives, body }: { directives: readonly string[]; body: readonly string[] },
): string {
  requireUsableFolder(run);
  const all = [
    `--job-name=${jobName}`,
    `--chdir=${run}`,
    ...directives,
    '--open-mode=append',
    '--requeue',
    '--nodes=1',
    '--ntasks=1',
    ...optionsOf(request),
  ];
  const lines = [
    '#!/bin/bash',
    ...all.map((option) => `#SBATCH ${directive(option)}`),
    '',
    'export UV_THREADPOOL_SIZE=32',
    ...body,
  ];
  return `${lines.join('\n')}\n`;
}

/** What is asked of Slurm for the job; arguments of the user come last, where Slurm lets them take precedence. */
function optionsOf({ sbatch, ...request }: JobRequest): string[] {
  const named: (keyof typeof request)[] = [
    'partition',
    'account',
    'qos',
    'constraint',
    'time',
    'mem',
    'gres',
  ];
  return [
    `--cpus-per-task=${request.cpus}`,
    ...named.flatMap((name) => (request[name] === undefined ? [] : [`--${name}=${request[name]}`])),
    ...sbatch,
  ];
}

/** The rules by which sbatch reads a line `#SBATCH …`: blanks separate, `"…"` quotes, a backslash escapes. */
function directive(option: string): string {
  requireOneLine(option);
  return /^[\w.,:;=@%+/[\]-]+$/.test(option) ? option : `"${option.replaceAll(/[\\"]/g, '\\$&')}"`;
}

/** A word of bash that stands for exactly this text. @throws {UserError} if the text has a line break or another control character. */
export function shellWord(text: string): string {
  requireOneLine(text);
  if (/^[\w.,:=@%+/-]+$/.test(text)) return text;
  // Within single quotes nothing is special; shellcheck takes a dollar sign, a backquote or ’ there for a mistake.
  return /['$`\\‘’]/.test(text) ? `"${text.replaceAll(/[\\"$`]/g, '\\$&')}"` : `'${text}'`;
}

const commandLine = (command: readonly string[]) =>
  command
    .map((word, i) => (i > 0 && word.startsWith('--') ? `\\\n  ${shellWord(word)}` : shellWord(word)))
    .join(' ');

function requireOneLine(text: string) {
  // eslint-disable-next-line no-control-regex
  if (!/[\u0000-\u001f\u007f]/.test(text)) return;
  throw new UserError(`a batch script cannot hold ${JSON.stringify(text)}: it has a control character`, {
    remedy: 'rename the file or folder without line breaks, tabs and other control characters',
  });
}

/** Slurm replaces `%j` and the like in the path of a job's output, in its folder too, and a backslash turns that off for all of it. */
function requireUsableFolder(run: string) {
  if (!/[%\\]/.test(run)) return;
  throw new UserError('Slurm cannot write the output of a job in a folder whose path has "%" or "\\"', {
    file: run,
    remedy: 'choose another folder with --run',
  });
}
