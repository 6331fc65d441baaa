// The command stop: stops the training of a run, wherever it runs: a process of this machine, or jobs of a cluster.
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClaimHolder, claimHolder, print, UserError } from '@ct-ensemble/core';
import {
  isQueued,
  jobsOf,
  type QueuedTask,
  readJobRecords,
  slurmQueue,
  taskName,
} from '@ct-ensemble/ensemble';
import { Command } from 'commander';
import { positive } from '../options.ts';

interface StopOptions {
  run: string;
  wait: number;
}

export function stopCommand(): Command {
  return new Command('stop')
    .description(
      'Stops the training of a run: members write a checkpoint if there is time, and trainer:all-members continues them. On a cluster its jobs are cancelled.',
    )
    .requiredOption('--run <dir>', 'folder of the run')
    .argument(
      '[members...]',
      'only these members, of a run on a cluster (default: all, the preparation and the evaluation)',
    )
    .option('--wait <seconds>', 'time to wait for the end of what was stopped', positive, 120)
    .action(async (members: string[], options: StopOptions) => {
      process.exitCode = await stop(members, options);
    });
}

/** Runs the command. Returns the exit code: 0 if nothing is at work any more, 1 if something still is after the wait. */
async function stop(members: readonly string[], { run, wait }: StopOptions): Promise<number> {
  const isOnCluster = await stopJobs(members, { run, wait });
  const holder = await claimHolder(run);
  // The claim of a preparation that was cancelled with its node's processes looks alive for the time of its lease.
  const isLeft = isOnCluster === true && holder?.isHere !== true;
  if (!holder?.isAlive || isLeft) {
    if (isOnCluster === undefined)
      print(
        `nothing to stop: no job or process of ${members.length === 0 ? run : members.join(', ')} is queued or running`,
      );
    return isOnCluster === false ? 1 : 0;
  }
  if (members.length > 0)
    throw new UserError('single members can be stopped only on a cluster', {
      file: run,
      remedy: 'leave the members out to stop the whole run',
    });
  return (await stopProcess(holder, { run, wait })) && isOnCluster !== false ? 0 : 1;
}

/** Cancels the jobs of the run. Returns whether they have ended; undefined if there were none. */
async function stopJobs(
  members: readonly string[],
  { run, wait }: StopOptions,
): Promise<boolean | undefined> {
  const records = (await readJobRecords(run)).filter(({ endedAt }) => endedAt === undefined);
  if (records.length === 0) return undefined;
  const known = new Set(records.flatMap((record) => record.members));
  for (const member of members)
    if (!known.has(member))
      throw new UserError(`there is no job of a member "${member}"`, {
        file: run,
        remedy: `name members of the run: ${[...known].join(', ')}`,
      });
  const queue = slurmQueue();
  const live = async () => {
    const jobs = await jobsOf(records, queue);
    return jobs.flatMap(({ record, tasks }) =>
      tasks.filter(isQueued).flatMap((task): { task: QueuedTask; what: string }[] => {
        const member = record.kind === 'members' ? record.members[task.index ?? -1] : undefined;
        if (members.length > 0 && (member === undefined || !members.includes(member))) return [];
        return [{ task, what: member ?? (record.kind === 'prepare' ? 'preparation' : 'evaluation') }];
      }),
    );
  };
  const found = await live();
  if (found.length === 0) return undefined;
  // The evaluation first: the end of the members would start it.
  const order = [...found].sort((a, b) => Number(b.what === 'evaluation') - Number(a.what === 'evaluation'));
  await queue.cancel(order.map(({ task }) => taskName(task)));
  for (const { task, what } of found) print(`cancelled  job ${taskName(task)}  ${what} (was ${task.state})`);
  const isOver = await waitUntil(async () => (await live()).length === 0, wait);
  for (const { task, what } of isOver ? [] : await live())
    print(`still there  job ${taskName(task)}  ${what}: ${task.state}`);
  return isOver;
}

/** Asks the process that holds the claim of the run to stop. Returns whether it has ended. */
async function stopProcess({ pid, host, isHere }: ClaimHolder, { run, wait }: StopOptions): Promise<boolean> {
  if (!isHere || pid === null)
    throw new UserError(
      host === hostname()
        ? `process ${pid} is at work in the folder, in another container of this machine`
        : `process ${pid} on ${host ?? 'an unknown host'} is at work in the folder, which this machine cannot signal`,
      {
        file: run,
        remedy:
          host === hostname() ? 'call this command there' : `call this command on ${host ?? 'that host'}`,
      },
    );
  process.kill(pid, 'SIGTERM');
  print(`asked process ${pid} to stop after its present step`);
  const isOver = await waitUntil(async () => {
    const now = await claimHolder(run).catch(() => undefined);
    return now?.isHere !== true || now.pid !== pid;
  }, wait);
  print(isOver ? `process ${pid} has stopped` : `process ${pid} has not stopped within ${wait} s`);
  return isOver;
}

async function waitUntil(isOver: () => Promise<boolean>, seconds: number): Promise<boolean> {
  const end = performance.now() + 1000 * seconds;
  for (let pause = 250; ; pause = Math.min(2 * pause, 4000)) {
    if (await isOver()) return true;
    if (performance.now() > end) return false;
    await sleep(pause);
  }
}
