// Submits the jobs of a run to Slurm: preparation, members as job arrays, evaluation. Called again it submits only what is neither
// done nor queued. Each job or job array has a record `slurm/NNN.json`, which is written before sbatch is called and completed after it.
import { createHash } from 'node:crypto';
import { mkdir, readdir, realpath, rm } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { claimFolder, claimHolder, codeOf, UserError, writeFileAtomic, writeJson } from '@ct-ensemble/core';
import { z } from 'zod';
import { readRecord } from '../json-record.ts';
import { isQueued, type QueuedTask, type SlurmQueue } from './queue.ts';
import { commandsScript, LOGS_FOLDER, membersScript, SLURM_FOLDER } from './script.ts';
import type { ClusterSettings } from './settings.ts';

const recordSchema = z.object({
  version: z.literal(1),
  number: z.int().positive(),
  /** Belongs to this run and record alone, so that squeue finds the job by it. */
  jobName: z.string().regex(/^[\w.-]+$/),
  kind: z.enum(['prepare', 'members', 'evaluate']),
  /** Null until sbatch has answered. */
  jobId: z.string().regex(/^\d+$/).nullable(),
  /** By their index in the array; of an evaluation those that it waits for; empty for a preparation. */
  members: z.array(z.string()),
  /** Relative to the run's folder. */
  script: z.string(),
  /** SHA-256 of what the job does, without its number and name. */
  purpose: z.string(),
  /** Times in ISO 8601. */
  createdAt: z.string(),
  submittedAt: z.string().nullable(),
  /** When the queue was found not to have the job any more; absent: it may still have it. */
  endedAt: z.string().optional(),
  /** What is trained, for readers of a run whose plan.json the preparation has not written yet. */
  planned: z
    .object({
      recipe: z.string(),
      epochs: z.int().positive(),
      devices: z.array(z.string()),
      members: z.array(
        z.object({
          name: z.string(),
          architecture: z.string(),
          seed: z.int(),
          fold: z.int().positive().optional(),
        }),
      ),
    })
    .optional(),
});

/** The content of `slurm/NNN.json`. */
export type JobRecord = z.infer<typeof recordSchema>;
export type Planned = NonNullable<JobRecord['planned']>;

export const slurmFolder = (run: string) => join(run, SLURM_FOLDER);
export const slurmLogsFolder = (run: string) => join(run, LOGS_FOLDER);
const numbered = (number: number) => String(number).padStart(3, '0');
const recordFile = (run: string, number: number) => join(slurmFolder(run), `${numbered(number)}.json`);

/**
 * The records of a run's jobs, in order; empty if none was ever submitted. Those of another folder, of which this one is a copy,
 * are left out. @throws {UserError} if a record is damaged.
 */
export async function readJobRecords(run: string): Promise<JobRecord[]> {
  const names = await readdir(slurmFolder(run)).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  const prefix = names.length === 0 ? '' : await jobNamePrefix(run);
  const found: JobRecord[] = [];
  for (const name of names
    .filter((each) => /^\d{3,}\.json$/.test(each))
    .sort((a, b) => parseInt(a) - parseInt(b))) {
    const record = await readRecord(join(slurmFolder(run), name), {
      schema: recordSchema,
      remedy: 'delete it: if its job is still queued, cancel it with scancel first',
    });
    if (record?.jobName.startsWith(prefix)) found.push(record);
  }
  return found;
}

/** What the names of all jobs of a run begin with; unlike those of every other folder. */
async function jobNamePrefix(run: string): Promise<string> {
  const path = await realPathOf(run);
  const name =
    basename(path)
      .replaceAll(/[^A-Za-z0-9._-]+/g, '_')
      .slice(0, 40) || 'run';
  return `ct-${name}-${createHash('sha256').update(path).digest('hex').slice(0, 6)}-`;
}

/** Without symbolic links; of a folder that does not exist yet as it is written. */
const realPathOf = (folder: string) => realpath(folder).catch(() => resolve(folder));

/** A record, and what the queue says of its job. */
export interface SubmittedJob {
  record: JobRecord;
  /** Empty if the controller has forgotten the job, or never had it. */
  tasks: QueuedTask[];
}

/** The jobs of these records in the queue. A record whose job id was not recorded is found by its name. */
export async function jobsOf(
  records: readonly JobRecord[],
  queue: Pick<SlurmQueue, 'list'>,
): Promise<SubmittedJob[]> {
  const open = records.filter(({ endedAt }) => endedAt === undefined);
  const tasks = await queue.list(open.map(({ jobName }) => jobName));
  return records.map((record) => {
    const own = tasks.filter(({ jobName }) => jobName === record.jobName);
    const jobId = record.jobId ?? own[0]?.jobId ?? null;
    return { record: { ...record, jobId }, tasks: own.filter((task) => task.jobId === jobId) };
  });
}

export interface ClusterPrograms {
  /** The built entry points of the two command lines. */
  trainer: string;
  evaluator: string;
}

export interface SubmitJobsOptions {
  run: string;
  queue: SlurmQueue;
  settings: ClusterSettings;
  programs: ClusterPrograms;
  /** Called under the lock: arguments of the trainer that prepare the run; undefined: it is prepared. */
  prepareArgs: () => Promise<readonly string[] | undefined>;
  /** Arguments of the trainer that train one member, without `--member`. */
  memberArgs: readonly string[];
  /** Called under the lock: the members that are not done, and all of the recipe. */
  members: () => Promise<{ open: readonly string[]; all: readonly string[]; isEvaluated: boolean }>;
  planned: Planned;
}

/** A job that was, or with a dry run would be, submitted. */
export interface PlannedJob {
  kind: JobRecord['kind'];
  /** Null with a dry run. */
  jobId: string | null;
  members: readonly string[];
  /** Path of the script, and its text. */
  file: string;
  script: string;
  /** Arguments of sbatch before the script's path. */
  args: readonly string[];
}

export interface SubmittedJobs {
  jobs: PlannedJob[];
  /** Members that were queued or running already, with their tasks. */
  queued: { member: string; task: QueuedTask }[];
  /** A job of the preparation or the evaluation that was queued already. */
  kept: { kind: JobRecord['kind']; jobId: string }[];
  /** Pending evaluations that were cancelled because a new one waits for more members. */
  replaced: string[];
}

/**
 * Submits what is neither done nor queued. Two callers at once: the lock `slurm/.claim` refuses the second.
 * @throws {UserError} with sbatch's own message if it fails; the jobs before it stay submitted and recorded.
 */
export async function submitJobs(options: SubmitJobsOptions): Promise<SubmittedJobs> {
  const { run } = options;
  await mkdir(slurmLogsFolder(run), { recursive: true });
  const lock = await claimFolder(slurmFolder(run), {
    remedy: 'wait until the other process has submitted its jobs, then call this command again',
  });
  try {
    const records = await readJobRecords(run);
    const jobs = await jobsOf(records, options.queue);
    await recordWhatIsKnown(run, { records, jobs });
    await refuseLocalTraining(run, jobs);
    // Without await the lock would be released before the jobs are submitted.
    return await submitMissing(options, { jobs, number: await nextNumber(run) });
  } finally {
    await lock.release();
  }
}

/** What `submitJobs` would submit; nothing is written. A queue that cannot be asked counts as empty, and `onProblem` is called. */
export async function dryRunJobs(
  options: SubmitJobsOptions,
  onProblem: (error: unknown) => void,
): Promise<SubmittedJobs> {
  const records = await readJobRecords(options.run).catch(() => []);
  const jobs = await jobsOf(records, options.queue).catch((error: unknown) => {
    onProblem(error);
    return [];
  });
  return submitMissing(options, { jobs, number: await nextNumber(options.run), isDry: true });
}

/** A preparation on the cluster holds the claim of the run, too. @throws {UserError} if another command is at work in the folder. */
async function refuseLocalTraining(run: string, jobs: readonly SubmittedJob[]) {
  if (jobs.some(({ record, tasks }) => record.kind === 'prepare' && tasks.some(isQueued))) return;
  const holder = await claimHolder(run);
  if (!holder?.isAlive) return;
  throw new UserError(
    `process ${holder.pid ?? '(unknown)'} on ${holder.host ?? 'an unknown host'} is at work in this folder`,
    {
      file: run,
      remedy:
        'wait until it has ended, or stop it with trainer:stop, and call this command again; if it was killed, call it again after a minute',
    },
  );
}

/** Records the ids of jobs that were found by name, and which jobs have ended. */
async function recordWhatIsKnown(
  run: string,
  { records, jobs }: { records: readonly JobRecord[]; jobs: readonly SubmittedJob[] },
) {
  for (const [i, { record, tasks }] of jobs.entries()) {
    if (record.endedAt !== undefined) continue;
    const before = records[i]!;
    const now = new Date().toISOString();
    if (!tasks.some(isQueued)) await writeJson(recordFile(run, before.number), { ...record, endedAt: now });
    else if (before.jobId !== record.jobId)
      await writeJson(recordFile(run, before.number), { ...record, submittedAt: now });
  }
}

/** Records of a copied folder keep their numbers, so that no file is overwritten. */
async function nextNumber(run: string): Promise<number> {
  const names = await readdir(slurmFolder(run)).catch(() => []);
  return (
    1 + Math.max(0, ...names.flatMap((name) => /^(\d{3,})\.(?:json|sh)$/.exec(name)?.[1] ?? []).map(Number))
  );
}

async function submitMissing(
  options: SubmitJobsOptions,
  {
    jobs: known,
    number: first,
    isDry = false,
  }: { jobs: readonly SubmittedJob[]; number: number; isDry?: boolean },
): Promise<SubmittedJobs> {
  const { run, queue, settings, programs, memberArgs } = options;
  const live = known.filter(({ tasks }) => tasks.some(isQueued));
  const liveOf = (kind: JobRecord['kind']) => live.filter(({ record }) => record.kind === kind);
  const prepareArgs = await options.prepareArgs();
  const { open, all, isEvaluated } = await options.members();
  const queued = new Map<string, QueuedTask>();
  for (const { record, tasks } of liveOf('members'))
    for (const task of tasks)
      if (isQueued(task) && task.index !== null) queued.set(record.members[task.index] ?? '', task);
  const missing = open.filter((name) => !queued.has(name));
  const result: SubmittedJobs = {
    jobs: [],
    queued: [...queued]
      .map(([member, task]) => ({ member, task }))
      .filter(({ member }) => all.includes(member)),
    kept: [],
    replaced: [],
  };
  const path = await realPathOf(run);
  const prefix = await jobNamePrefix(run);
  let number = first;
  const submit = async (
    about: Pick<JobRecord, 'kind' | 'members' | 'purpose'>,
    { render, args }: { render: (jobName: string) => string; args: readonly string[] },
  ): Promise<string> => {
    const jobName = `${prefix}${numbered(number)}`;
    const script = `${SLURM_FOLDER}/${numbered(number)}.sh`;
    const file = join(path, script);
    const text = render(jobName);
    const job = { kind: about.kind, members: about.members, file, script: text, args };
    const own = number++;
    if (isDry) {
      result.jobs.push({ ...job, jobId: null });
      return `ID-OF-${numbered(own)}`;
    }
    const createdAt = new Date().toISOString();
    const { planned } = options;
    const record: JobRecord = {
      version: 1,
      number: own,
      jobName,
      ...about,
      jobId: null,
      script,
      createdAt,
      submittedAt: null,
      planned,
    };
    await writeFileAtomic(file, text);
    await writeJson(recordFile(run, own), record);
    let jobId: string;
    try {
      jobId = await queue.submit(file, args);
    } catch (error) {
      // sbatch may have failed after the controller took the job; only what the queue denies is taken back.
      const found = await queue.list([jobName]).catch(() => undefined);
      if (found?.length === 0)
        for (const each of [recordFile(run, own), file]) await rm(each, { force: true });
      throw error;
    }
    await writeJson(recordFile(run, own), { ...record, jobId, submittedAt: new Date().toISOString() });
    result.jobs.push({ ...job, jobId });
    return jobId;
  };
  const base = { run: path, setup: settings.setup };
  const trainer = [settings.node, programs.trainer];
  const digest = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex');

  const preparation = liveOf('prepare').at(-1)?.record;
  let afterPreparation: string | undefined;
  if (preparation !== undefined) {
    if (prepareArgs !== undefined && preparation.purpose !== digest(prepareArgs))
      throw new UserError(`the job ${preparation.jobId} prepares this run with other options`, {
        file: run,
        remedy: 'wait until it has ended, or stop it with trainer:stop, and call this command again',
      });
    afterPreparation = preparation.jobId!;
    result.kept.push({ kind: 'prepare', jobId: afterPreparation });
  } else if (prepareArgs !== undefined) {
    if (queued.size > 0)
      throw new UserError(
        `the recipe, the scans or the volumes are not those that this run was prepared with, and ${queued.size} of its members are queued or running`,
        {
          file: run,
          remedy: 'wait until they have ended, or stop them with trainer:stop, and call this command again',
        },
      );
    afterPreparation = await submit(
      { kind: 'prepare', members: [], purpose: digest(prepareArgs) },
      {
        render: (jobName) =>
          commandsScript({
            ...base,
            jobName,
            request: settings.preparation,
            commands: [[...trainer, ...prepareArgs]],
          }),
        args: [],
      },
    );
  }

  const afterok = afterPreparation === undefined ? [] : [`afterok:${afterPreparation}`];
  const arrays: string[] = [];
  const size =
    missing.length === 0
      ? 1
      : await queue.maxArraySize().catch((error: unknown) => {
          if (isDry) return 1001;
          throw error;
        });
  for (let from = 0; from < missing.length; from += size) {
    const members = missing.slice(from, from + size);
    arrays.push(
      await submit(
        { kind: 'members', members, purpose: digest(memberArgs) },
        {
          render: (jobName) =>
            membersScript({
              ...base,
              jobName,
              request: settings.members,
              members,
              parallel: settings.parallel,
              signalSeconds: settings.signalSeconds,
              command: [...trainer, ...memberArgs],
            }),
          args: dependencyArgs(afterok),
        },
      ),
    );
  }

  const evaluations = liveOf('evaluate').map(({ record }) => record.jobId!);
  const isNothingNew = missing.length === 0 && !result.jobs.some(({ kind }) => kind === 'prepare');
  if (isNothingNew && (evaluations.length > 0 || (queued.size === 0 && isEvaluated))) {
    for (const jobId of evaluations) result.kept.push({ kind: 'evaluate', jobId });
    return result;
  }
  const before = [...liveOf('members').map(({ record }) => record.jobId!), ...arrays];
  const afterany = before.length === 0 ? [] : [`afterany:${before.join(':')}`];
  const commands = ['evaluate', 'submit', 'report'].map((name) => [
    settings.node,
    programs.evaluator,
    name,
    '--run',
    path,
  ]);
  await submit(
    { kind: 'evaluate', members: [...all], purpose: digest(commands) },
    {
      render: (jobName) => commandsScript({ ...base, jobName, request: settings.evaluation, commands }),
      args: dependencyArgs([...afterok, ...afterany]),
    },
  );
  if (!isDry) await queue.cancel(evaluations);
  result.replaced.push(...evaluations);
  return result;
}

const dependencyArgs = (dependencies: readonly string[]) =>
  dependencies.length === 0 ? [] : [`--dependency=${dependencies.join(',')}`, '--kill-on-invalid-dep=yes'];
