// The job of Slurm that this process runs in, as Slurm's environment variables say.
export interface ClusterJob {
  /** What `scontrol requeue` and `scancel` take: `12_3` for task 3 of array 12, `12` without an array. */
  name: string;
  /** How often Slurm has started the job again. */
  restarts: number;
  /** Tells which of two starts of a member is the newer one: later submission, then later restart. */
  order: readonly [submission: number, restarts: number];
}

/** Undefined outside of a job. */
export function clusterJob(environment: NodeJS.ProcessEnv = process.env): ClusterJob | undefined {
  const {
    SLURM_JOB_ID: job,
    SLURM_ARRAY_JOB_ID: array,
    SLURM_ARRAY_TASK_ID: task,
    SLURM_RESTART_COUNT: restarts = '0',
  } = environment;
  // The bare job id of an array's last task is the whole array's.
  const name = array && task ? `${array}_${task}` : job;
  if (!name) return undefined;
  const count = Number(restarts) || 0;
  return { name, restarts: count, order: [Number.parseInt(name), count] };
}
