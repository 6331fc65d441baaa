// The command member: trains one member of a prepared run, as a job of a cluster does.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { messageOf, print, printError, UserError } from '@ct-ensemble/core';
import { cacheFolder, installTensorFlow } from '@ct-ensemble/engine';
import {
  clusterJob,
  type ClusterJob,
  type Isolation,
  logFile,
  memberFolder,
  parseDevices,
  readPlan,
  requireMember,
  startMember,
  type StartOutcome,
  tensorboardWriter,
  thisMachine,
} from '@ct-ensemble/ensemble';
import { Command } from 'commander';
import {
  checkpointMinutesOption,
  count,
  isolationOption,
  memberDevicesOption,
  volumesOption,
} from '../options.ts';
import { jobSignals } from '../terminal/job-signals.ts';
import { memberDisplay } from '../terminal/members.ts';

interface MemberOptions {
  run: string;
  member: string;
  devices: string;
  volumes?: string;
  isolation: Isolation;
  checkpointMinutes: number;
  maxIdleStarts: number;
}

export function memberCommand(): Command {
  return new Command('member')
    .description(
      "Trains one member of a prepared run. This is what a cluster's job runs: the newest start of a member owns it, and an older one leaves.",
    )
    .requiredOption('--run <dir>', 'folder of the run, which trainer:all-members has prepared')
    .requiredOption('--member <name>', 'name of the member')
    .addOption(memberDevicesOption())
    .addOption(isolationOption())
    .addOption(checkpointMinutesOption())
    .addOption(volumesOption('--volumes'))
    .option(
      '--max-idle-starts <number>',
      'the member has failed after so many starts in a row that made no progress',
      count,
      3,
    )
    .action(async (options: MemberOptions) => {
      process.exitCode = await member(options);
    });
}

/**
 * Runs the command. Returns the exit code: 0 if the member is done or a newer start owns it, 1 if it failed, 130 if it was
 * stopped, whether it is started again or not.
 */
async function member(options: MemberOptions): Promise<number> {
  const { run, member: name, isolation, checkpointMinutes, maxIdleStarts } = options;
  const job = clusterJob();
  let notify = (notice: string) => console.error(notice);
  const signals = jobSignals((request) =>
    notify(
      request === 'requeue'
        ? 'The time of the job is almost over: stopping after the present step, to be started again.'
        : 'Stopping after the present step.',
    ),
  );
  const whole = await readPlan(run);
  requireMember(whole, name);
  const devices = devicesOf(options.devices, whole.engine);
  if (whole.engine === 'tensorflow') await installTensorFlow({ log: print });
  const ofMember = { ...whole, members: whole.members.filter((each) => each.name === name) };
  print(`${name} in ${run}${job === undefined ? '' : `, job ${job.name}, restart ${job.restarts}`}`);
  const display = memberDisplay({ ...ofMember, devices: [options.devices] }, 'continued');
  notify = display.notify;
  const tensorboard = tensorboardWriter(run, (problem) => display.notify(`NOTE: ${problem}`));
  let outcome: StartOutcome;
  try {
    outcome = await startMember({
      run,
      plan: whole,
      member: name,
      job,
      devices,
      store: options.volumes ?? join(cacheFolder(), 'volumes'),
      isolation,
      checkpointSeconds: 60 * checkpointMinutes,
      maxIdleStarts,
      onEvent(event) {
        // The summary says how it failed, or that a newer start owns the member.
        if (event.kind !== 'failed') display.event(event);
        if (event.kind !== 'progress' || event.progress.kind !== 'step') tensorboard.update(event.member);
      },
      beforeRelease: () => tensorboard.end(),
      signal: signals.signal,
    });
  } catch (error) {
    if (!(signals.signal.aborted && error === signals.signal.reason)) throw error;
    outcome = { member: name, status: 'stopped', macroF1: null, attempts: 0, notes: [] };
  } finally {
    await display.end();
  }
  summarise(outcome, { run, member: name });
  if (outcome.status === 'superseded' || outcome.status === 'done') return 0;
  if (outcome.status === 'failed') return 1;
  if (signals.request() === 'requeue') {
    notify = () => {}; // Slurm sends SIGTERM when it requeues the job.
    await requeue(job, () => signals.request() === 'requeue');
  }
  return 130;
}

function devicesOf(text: string, engine: 'tensorflow' | 'cpu') {
  const devices = parseDevices(text.trim() === 'gpu' ? 'gpu:0' : text, 1, thisMachine(engine));
  if (devices.length === 1) return devices;
  throw new UserError(`--devices: ${text} names ${devices.length} devices, but one member trains on one`, {
    remedy: 'name one device, such as gpu or cpu:2',
  });
}

function summarise(outcome: StartOutcome, { run, member }: { run: string; member: string }) {
  if (outcome.status === 'superseded') {
    print(`A newer start owns ${member}, and this older one leaves: ${outcome.reason}`);
    return;
  }
  const { status, macroF1, reason, attempts, stderrTail, notes } = outcome;
  for (const note of notes) print(`NOTE     ${note}`);
  if (status === 'done')
    print(
      `done     ${member}${macroF1 === null ? '' : `, best macro F1 ${macroF1.toFixed(4)}`}: ${memberFolder(run, member)}`,
    );
  else if (status === 'stopped') print(`stopped  ${member}: the next start continues its training`);
  else {
    print(`FAILED   ${member}: ${reason} (${attempts} attempts, log: ${logFile(run, member)})`);
    if (stderrTail !== undefined) print(stderrTail);
  }
}

/** Waits between two calls of scontrol, in seconds: the controller may be starting. */
const waits = [5, 15];

/** Asks Slurm to start the job again. Says so if that fails: the work so far is kept. */
async function requeue(job: ClusterJob | undefined, isWanted: () => boolean) {
  if (job === undefined) {
    printError('NOTE: this is not a job of Slurm, so it is not started again by itself.');
    return;
  }
  for (const wait of [...waits, undefined]) {
    try {
      await promisify(execFile)('scontrol', ['requeue', job.name]);
      print(`Job ${job.name} is started again when its turn comes.`);
      return;
    } catch (error) {
      // Slurm ends all processes of a job that it requeues, perhaps before scontrol has its answer; or the job is cancelled.
      if ((error as { signal?: string }).signal === 'SIGTERM' || !isWanted()) return;
      printError(`NOTE: scontrol requeue ${job.name} failed: ${messageOf(error).trim()}`);
      if (wait === undefined) break;
      await sleep(wait * 1000);
      if (!isWanted()) return;
    }
  }
  printError('NOTE: the job is not started again by itself; trainer:all-members -- --on slurm continues it.');
}
