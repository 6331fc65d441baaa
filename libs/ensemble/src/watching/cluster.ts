// The jobs of a run on a cluster, for readers of its state: what the queue says, asked at most every ten seconds.
import { messageOf } from '@ct-ensemble/core';
import { type JobRecord, jobsOf, readJobRecords, type SubmittedJob } from '../cluster/jobs.ts';
import {
  explainReason,
  isOnNode,
  isQueued,
  type QueuedTask,
  type SlurmQueue,
  slurmQueue,
  taskName,
} from '../cluster/queue.ts';

/** A job, or a task of an array, as a state of the run lists it. */
export interface ClusterJobState {
  /** As Slurm names it: `12`, or `12_3` for task 3 of array 12. */
  job: string;
  kind: JobRecord['kind'];
  /** The member that a task of an array trains. */
  member: string | null;
  /** Slurm's words, such as `PENDING` and `Priority`. */
  state: string;
  reason: string;
  /** Where it runs; empty before. */
  nodes: string;
}

/** What the queue says of a run. */
export interface ClusterState {
  /** Jobs that wait or run, and ended ones that the controller remembers; of each member only the newest. */
  jobs: ClusterJobState[];
  /** Jobs that wait for ever unless somebody acts, and why the queue could not be asked, a line each. */
  problems: string[];
  /** From the newest record: what is trained while the run has no plan yet. */
  planned: JobRecord['planned'];
}

/** Seconds in which the answer of the queue is used again. */
const ASKED_EVERY = 10;

/** Reads the state of a run's jobs; undefined for a run that has none. Failures are problems in the state. */
export function clusterReader(
  run: string,
  {
    queue = slurmQueue(),
    now = () => performance.now() / 1000,
  }: { queue?: Pick<SlurmQueue, 'list'>; now?: () => number } = {},
): () => Promise<ClusterState | undefined> {
  let last: { at: number; records: string; jobs: SubmittedJob[]; problem: string | undefined } | undefined;
  return async () => {
    let records: JobRecord[];
    try {
      records = await readJobRecords(run);
    } catch (error) {
      return { jobs: [], problems: [messageOf(error)], planned: undefined };
    }
    if (records.length === 0) return undefined;
    const stamp = JSON.stringify(records);
    if (last === undefined || last.records !== stamp || now() - last.at >= ASKED_EVERY) {
      const asked: typeof last = { at: now(), records: stamp, jobs: [], problem: undefined };
      try {
        asked.jobs = await jobsOf(records, queue);
      } catch (error) {
        asked.problem = `the state of the jobs is not known: ${messageOf(error)}`;
      }
      last = asked;
    }
    const { jobs, problem } = last;
    return {
      jobs: newestOf(jobs),
      problems: [...(problem === undefined ? [] : [problem]), ...failedOf(jobs), ...stuckIn(jobs)],
      planned: records.findLast(({ planned }) => planned !== undefined)?.planned,
    };
  };
}

function newestOf(jobs: readonly SubmittedJob[]): ClusterJobState[] {
  const newest = new Map<string, ClusterJobState>();
  for (const { record, tasks } of jobs)
    for (const task of tasks) {
      const { state, reason, nodes } = task;
      const member =
        record.kind !== 'members' || task.index === null ? null : (record.members[task.index] ?? null);
      const key = `${record.kind} ${member ?? ''}`;
      // An earlier task that has not ended counts more than a later one that has.
      const before = newest.get(key);
      if (before !== undefined && isQueued(before) && !isQueued(task)) continue;
      newest.set(key, { job: taskName(task), kind: record.kind, member, state, reason, nodes });
    }
  return [...newest.values()];
}

/** A line for the preparation, and one for the evaluation, whose newest job failed. */
function failedOf(jobs: readonly SubmittedJob[]): string[] {
  const names = { prepare: 'preparation', evaluate: 'evaluation' } as const;
  return newestOf(jobs).flatMap(({ kind, job, state }) =>
    kind === 'members' || isQueued({ state }) || state === 'COMPLETED' || state === 'CANCELLED'
      ? []
      : [`the ${names[kind]}, job ${job}, ended as ${state}: trainer:logs --job ${names[kind]} shows why`],
  );
}

/** A line for each job and reason that keeps it waiting for ever. */
function stuckIn(jobs: readonly SubmittedJob[]): string[] {
  return jobs.flatMap(({ tasks }) => {
    const stuck = tasks.filter((task) => isWaiting(task) && explainReason(task.reason).isStuck);
    return [...new Set(stuck.map(({ reason }) => reason))].map((reason) => {
      const all = stuck.filter((task) => task.reason === reason);
      const which =
        all.length === 1
          ? `job ${taskName(all[0]!)} waits`
          : `${all.length} tasks of job ${all[0]!.jobId} wait`;
      return `${which} in the queue for the reason ${reason}: ${explainReason(reason).text}`;
    });
  });
}

/** Whether a job waits in the queue. */
export const isWaiting = (job: Pick<QueuedTask, 'state'>) => isQueued(job) && !isOnNode(job);

/** Why a member waits whose job does, such as `queued as job 12_3: Priority (it waits for its turn)`. */
export function waitingMessage({ job, reason }: ClusterJobState): string {
  const { text } = explainReason(reason);
  return `queued as job ${job}: ${reason}${text === '' ? '' : ` (${text})`}`;
}
