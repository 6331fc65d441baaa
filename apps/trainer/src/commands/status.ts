// The command status: the state of a run from its files, whether it is being trained or not.
import { setTimeout as sleep } from 'node:timers/promises';
import { print, printable, printableLines } from '@ct-ensemble/core';
import {
  type ClusterJobState,
  isQueued,
  type RunReader,
  runReader,
  type RunStatus,
} from '@ct-ensemble/ensemble';
import { Command } from 'commander';
import { isColoured, liveLines, terminalSize } from '../terminal/live.ts';
import { memberTable, truncate, wholeLine } from '../terminal/member-table.ts';

interface StatusOptions {
  run: string;
  json?: boolean;
  watch?: boolean;
}

export function statusCommand(): Command {
  return new Command('status')
    .description(
      'Shows the state of a run and of each of its members from the files in its folder, while it is trained and afterwards.',
    )
    .requiredOption('--run <dir>', 'folder of the run')
    .option('--json', 'print JSON; with --watch one line for each state')
    .option('--watch', 'show the state every two seconds until nothing trains the run any more')
    .action(async (options: StatusOptions) => {
      const reader = runReader(options.run);
      if (options.watch) await watch(reader, options);
      else printStatus(await reader.status(), options);
    });
}

function printStatus(status: RunStatus, { json = false }: StatusOptions) {
  if (json) print(JSON.stringify(status, null, 2));
  else print(statusLines(status, { coloured: process.stdout.isTTY && isColoured() }).join('\n'));
}

/** Seconds between two states. */
const WATCH_EVERY = 2;

/** Ends when nothing trains the run any more, or at Ctrl-C. */
async function watch(reader: RunReader, options: StatusOptions) {
  const stopped = new AbortController();
  const stop = () => stopped.abort();
  // Not once(): log-update's own listener ends the process if it is the only one that is left.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop);
  const live = process.stdout.isTTY && !options.json ? liveLines() : undefined;
  try {
    for (;;) {
      const status = await reader.status();
      if (live !== undefined) {
        const { width, height } = terminalSize();
        live.draw(statusLines(status, { width, height: height - 1, coloured: isColoured() }));
      } else if (options.json) console.log(JSON.stringify(status));
      else print(`${statusLines(status, { coloured: false }).join('\n')}\n`);
      if (!isUnderWay(status)) return;
      await sleep(WATCH_EVERY * 1000, undefined, { signal: stopped.signal }).catch(() => {});
      if (stopped.signal.aborted) return;
    }
  } finally {
    live?.end();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop);
  }
}

const isUnderWay = ({ state }: RunStatus) => state === 'running' || state === 'busy' || state === 'queued';

/** The state of a run as lines of text that fit into `width` and `height` characters. */
export function statusLines(
  status: RunStatus,
  { width = Infinity, height = Infinity, coloured }: { width?: number; height?: number; coloured: boolean },
): string[] {
  const { members, problems } = status;
  const whole = [
    wholeLine({ ...status, title: status.recipe }),
    runLine(status),
    ...problems.map((problem) => `PROBLEM: ${printableLines(problem).replaceAll('\n', ' ')}`),
  ].map((line) => truncate(line, width));
  const room = Math.max(3, height - whole.length);
  return [...whole, ...memberTable(members, { width, height: room, coloured })];
}

function runLine({ run, state, coordinator, missing, jobs }: RunStatus): string {
  const where = printable(run);
  if (jobs !== null && (state === 'running' || state === 'busy' || state === 'queued')) {
    const line = jobsLine(jobs);
    if (line !== '') return `${where}: ${line}`;
  }
  const who = coordinator === null ? '' : `process ${coordinator.pid} on ${coordinator.host}`;
  const again = 'the same trainer:all-members command continues it';
  switch (state) {
    case 'running':
      return coordinator === null
        ? `${where}: trained by jobs of a cluster`
        : `${where}: trained by ${who} since ${localTime(coordinator.startedAt)}`;
    case 'queued':
      return `${where}: its jobs wait in the queue`;
    case 'busy':
      return `${where}: a command is at work in the folder, which trains no member at present`;
    case 'ended':
      return missing.length === 0 ? `${where}: ended` : `${where}: ended; not done: ${missing.join(', ')}`;
    case 'stopped':
      return `${where}: stopped; ${again}`;
    case 'interrupted':
      return `${where}: ${who === '' ? 'the training' : who} has ended without finishing; ${again}`;
    case 'not-started':
      return `${where}: no member has been trained yet`;
    default:
      return state satisfies never;
  }
}

/** The jobs that run or wait, such as `preparation: job 12 RUNNING on n1; members: 2 jobs run, 1 waits`. */
function jobsLine(jobs: readonly ClusterJobState[]): string {
  const live = jobs.filter(isQueued);
  const single = (kind: ClusterJobState['kind'], name: string) =>
    live
      .filter((job) => job.kind === kind)
      .map(({ job, state, reason, nodes }) =>
        state === 'PENDING'
          ? `${name}: job ${job} waits (${reason})`
          : `${name}: job ${job} ${state} on ${nodes}`,
      );
  const members = live.filter(({ kind }) => kind === 'members');
  const waiting = members.filter(({ state }) => state === 'PENDING').length;
  return [
    ...single('prepare', 'preparation'),
    ...(members.length === 0
      ? []
      : [`members: ${members.length - waiting} jobs on nodes, ${waiting} waiting`]),
    ...single('evaluate', 'evaluation'),
  ].join('; ');
}

const localTime = (iso: string) => new Date(iso).toLocaleString('sv-SE');
