// Slurm's command line: sbatch, squeue, scancel, scontrol. Their text output is read, not `--json`, whose shape differs between versions.
import { execFile } from 'node:child_process';
import { UserError } from '@ct-ensemble/core';

/** One job, or one task of a job array, as squeue lists it. */
export interface QueuedTask {
  /** Of the array, for a task of one. */
  jobId: string;
  /** Index in the array; null: the job is no array. */
  index: number | null;
  /** Such as `PENDING`, `RUNNING`, `COMPLETED`. */
  state: string;
  /** Why it waits, or how it ended, such as `Priority`. */
  reason: string;
  /** Where it runs or ran; empty before. */
  nodes: string;
  jobName: string;
}

export interface SlurmQueue {
  /** Submits a script with these further arguments of sbatch. Returns the job's id. */
  submit(script: string, args: readonly string[]): Promise<string>;
  /** Jobs of these names; ended ones as long as the controller remembers them (MinJobAge, five minutes by default). */
  list(jobNames: readonly string[]): Promise<QueuedTask[]>;
  /** Cancels jobs, or tasks such as `12_3`; those that have ended are no error. */
  cancel(jobs: readonly string[]): Promise<void>;
  /** Tasks that one job array may have. */
  maxArraySize(): Promise<number>;
}

/** States of jobs that wait, run, or are about to do so again. */
const LIVE = new Set([
  'CONFIGURING',
  'COMPLETING',
  'PENDING',
  'REQUEUED',
  'REQUEUE_FED',
  'REQUEUE_HOLD',
  'RESIZING',
  'RUNNING',
  'SIGNALING',
  'SPECIAL_EXIT',
  'STAGE_OUT',
  'STOPPED',
  'SUSPENDED',
]);

/** Whether a job of this state is in the queue or runs. */
export const isQueued = ({ state }: Pick<QueuedTask, 'state'>) => LIVE.has(state);

/** Whether a job of this state has a node. */
export const isOnNode = ({ state }: Pick<QueuedTask, 'state'>) =>
  isQueued({ state }) &&
  !['PENDING', 'REQUEUED', 'REQUEUE_FED', 'REQUEUE_HOLD', 'SPECIAL_EXIT'].includes(state);

/** How Slurm names a task on its command line: `12_3`, or `12` for a job without an array. */
export const taskName = ({ jobId, index }: Pick<QueuedTask, 'jobId' | 'index'>) =>
  index === null ? jobId : `${jobId}_${index}`;

/**
 * The environment without what Slurm set for a job in which this process may run, and without defaults of sbatch that would
 * change a script's own options.
 */
export function cleanEnvironment(environment: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const isKept = (name: string) =>
    name === 'SLURM_CONF' || !/^(?:SLURM|SBATCH|SRUN|SQUEUE|SCANCEL)_/.test(name);
  return Object.fromEntries(Object.entries(environment).filter(([name]) => isKept(name)));
}

const FORMAT = '%F|%K|%T|%r|%N|%j';
/** A controller that is restarted answers again within this time. */
const PATIENCE_MS = 60_000;

/** Slurm's programs on the PATH of `environment`. Their failures are UserErrors with their own message. */
export function slurmQueue(environment: NodeJS.ProcessEnv = process.env): SlurmQueue {
  const call = (program: string, args: readonly string[]) => run(program, { args, environment });
  return {
    async submit(script, args) {
      const answer = await call('sbatch', ['--parsable', ...args, script]);
      const id = /^(\d+)(?:;.*)?$/m.exec(answer)?.[1];
      if (id !== undefined) return id;
      throw new UserError(`sbatch answered without the id of a job: ${answer.trim()}`, { file: script });
    },
    async list(jobNames) {
      if (jobNames.length === 0) return [];
      const answer = await call('squeue', [
        '-h',
        '-r',
        '-t',
        'all',
        '--name',
        jobNames.join(','),
        '-o',
        FORMAT,
      ]);
      return answer.split('\n').flatMap((line) => taskOf(line) ?? []);
    },
    async cancel(jobs) {
      if (jobs.length > 0) await call('scancel', jobs);
    },
    async maxArraySize() {
      const size = Number(
        /^\s*MaxArraySize\s*=\s*(\d+)/m.exec(await call('scontrol', ['show', 'config']))?.[1],
      );
      return size > 0 ? size : 1001;
    },
  };
}

function taskOf(line: string): QueuedTask | undefined {
  const [jobId, index, state, reason, nodes, jobName] = line.split('|');
  if (jobName === undefined) return undefined;
  return {
    jobId: jobId!,
    index: /^\d+$/.test(index!) ? Number(index) : null,
    state: state!,
    reason: reason!,
    nodes: nodes!,
    jobName,
  };
}

function run(
  program: string,
  { args, environment }: { args: readonly string[]; environment: NodeJS.ProcessEnv },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { env: cleanEnvironment(environment), timeout: PATIENCE_MS, maxBuffer: 2 ** 28 };
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      if (error.code === 'ENOENT')
        return reject(
          new UserError(`Slurm's program ${program} is not on the PATH`, {
            remedy: 'run this command on a login node of the cluster, or load its Slurm module first',
            cause: error,
          }),
        );
      const said =
        stderr.trim() || (error.killed ? `no answer within ${PATIENCE_MS / 1000} s` : error.message);
      reject(new UserError(`${program} failed: ${said}`, { cause: error }));
    });
  });
}

/** What a reason of squeue means, where it is worth saying, and whether the job waits for ever unless somebody acts. */
export function explainReason(reason: string): { text: string; isStuck: boolean } {
  for (const [pattern, text, isStuck] of REASONS) if (pattern.test(reason)) return { text, isStuck };
  return { text: '', isStuck: false };
}

const again = 'stop it with trainer:stop, and submit again';
const REASONS: readonly (readonly [pattern: RegExp, text: string, isStuck: boolean])[] = [
  [/^(?:Priority|Resources|None|Cleaning)$/, 'it waits for its turn', false],
  [/^Dependency$/, 'it waits for the jobs that come before it', false],
  [/^BeginTime$/, 'Slurm holds a requeued job back for about two minutes', false],
  [/^JobArrayTaskLimit$/, 'as many members train as --parallel admits', false],
  [/TimeLimit$|MaxWall/, `its time limit is longer than is allowed: ${again} with a smaller --time`, true],
  [/^DependencyNeverSatisfied$/, `a job that comes before it has failed: ${again}`, true],
  [/^(?:JobHeldUser|JobHeldAdmin)$/, 'it is held: scontrol release starts it', true],
  [
    /requeued held|launch failed/i,
    'its start failed on a node, and Slurm holds it: scontrol release starts it again',
    true,
  ],
  [
    /^PartitionNodeLimit$|^BadConstraints$|^Constraints$/,
    `no node of the partition has what it asks for: ${again} with other options`,
    true,
  ],
  [/^(?:PartitionDown|PartitionInactive)$/, 'its partition admits no jobs at present', true],
  [
    /^(?:InvalidAccount|InvalidQOS|AccountNotAllowed|QOSNotAllowed)$/,
    `its account or quality of service is not allowed: ${again} with other options`,
    true,
  ],
  [/PerJob$|PerJobLimit$/, `it asks for more than one job may have: ${again} with other options`, true],
  [/^ReqNodeNotAvail|NodeDown|Reserved/, 'the nodes that it could use are down or reserved', false],
  [/Limit$|^(?:Assoc|QOS)/, 'a limit of the account or of the quality of service is reached', false],
];
