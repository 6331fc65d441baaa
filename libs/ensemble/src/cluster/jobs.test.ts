// Submissions to a fake Slurm: what is submitted, what is not, and what is left after crashes and failures.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { claimFolder, writeJson } from '@ct-ensemble/core';
import { type FakeSlurm, fakeSlurm } from './fake-slurm.fixture.ts';
import { dryRunJobs, readJobRecords, submitJobs, type SubmitJobsOptions } from './jobs.ts';
import { cleanEnvironment, explainReason, slurmQueue } from './queue.ts';
import { clusterSettings } from './settings.ts';

let run: string;
let slurm: FakeSlurm;
let done: Set<string>;
beforeEach(async () => {
  run = await mkdtemp(join(tmpdir(), 'ct-ensemble my run-'));
  slurm = await fakeSlurm();
  done = new Set();
});
afterEach(() => rm(run, { recursive: true, force: true }));

const three = ['a', 'b', 'c'];

const options = (fields: Partial<SubmitJobsOptions> & { all?: string[] } = {}): SubmitJobsOptions => {
  const { all = three, ...rest } = fields;
  return {
    run,
    queue: slurmQueue(slurm.environment),
    settings: clusterSettings({ site: { mem: '1G' }, options: {}, device: 'cpu:1', expected: [] }),
    programs: { trainer: '/t/main.js', evaluator: '/e/main.js' },
    prepareArgs: async () => undefined,
    memberArgs: ['member', `--run=${run}`],
    members: async () => ({
      open: all.filter((name) => !done.has(name)),
      all,
      isEvaluated: done.size === all.length,
    }),
    planned: {
      recipe: 'tiny',
      epochs: 2,
      devices: ['cpu:1'],
      members: all.map((name, i) => ({ name, architecture: 'densenet_small', seed: i })),
    },
    ...rest,
  };
};

/** What the jobs are: their kind and members. */
const kinds = ({ jobs }: Awaited<ReturnType<typeof submitJobs>>) =>
  jobs.map(({ kind, members }) => [kind, kind === 'members' ? members.join(' ') : '']);

test('the first call submits preparation, members and evaluation, each after the one before', async () => {
  const submitted = await submitJobs(options({ prepareArgs: async () => ['all-members', '--prepare-only'] }));
  expect(kinds(submitted)).toEqual([
    ['prepare', ''],
    ['members', 'a b c'],
    ['evaluate', ''],
  ]);
  const calls = await slurm.calls('sbatch');
  expect(calls.map(({ args }) => args.slice(0, -1))).toEqual([
    ['--parsable'],
    ['--parsable', '--dependency=afterok:100', '--kill-on-invalid-dep=yes'],
    ['--parsable', '--dependency=afterok:100,afterany:101', '--kill-on-invalid-dep=yes'],
  ]);
  const records = await readJobRecords(run);
  expect(records.map(({ kind, jobId, members }) => [kind, jobId, members])).toEqual([
    ['prepare', '100', []],
    ['members', '101', three],
    ['evaluate', '102', three],
  ]);
  for (const [i, { script }] of submitted.jobs.entries())
    expect(await readFile(join(run, records[i]!.script), 'utf8')).toBe(script);
  // Another folder of the same name has other job names.
  expect(records[0]!.jobName).toMatch(/^ct-ct-ensemble_my_run-\w+-[0-9a-f]{6}-001$/);
});

test('the second call submits nothing while all wait or run', async () => {
  await submitJobs(options({ prepareArgs: async () => ['x'] }));
  await slurm.set('101_1', { state: 'RUNNING', nodes: 'n1' });
  const again = await submitJobs(options({ prepareArgs: async () => ['x'] }));
  expect(again.jobs).toEqual([]);
  expect(again.queued.map(({ member, task }) => [member, task.state])).toEqual([
    ['a', 'PENDING'],
    ['b', 'RUNNING'],
    ['c', 'PENDING'],
  ]);
  expect(again.kept).toEqual([
    { kind: 'prepare', jobId: '100' },
    { kind: 'evaluate', jobId: '102' },
  ]);
  expect(await slurm.calls('sbatch')).toHaveLength(3);
  expect(await slurm.calls('scancel')).toHaveLength(0);
});

test('after some are done, failed or dead, only the missing ones are submitted', async () => {
  const all = ['a', 'b', 'c', 'd', 'e'];
  await submitJobs(options({ all }));
  // Done, whatever the queue says; failed; killed with its node; still at work.
  done.add('a');
  await slurm.set('100_0', { state: 'TIMEOUT' });
  await slurm.set('100_1', { state: 'FAILED', reason: 'NonZeroExitCode' });
  await slurm.set('100_2', { state: 'NODE_FAIL' });
  await slurm.set('100_3', { state: 'RUNNING', nodes: 'n1' });
  await slurm.set('100_4', { state: 'REQUEUE_HOLD' });
  const again = await submitJobs(options({ all }));
  expect(kinds(again)).toEqual([
    ['members', 'b c'],
    ['evaluate', ''],
  ]);
  expect(again.queued.map(({ member }) => member)).toEqual(['d', 'e']);
  // The new evaluation waits for both arrays, and takes the place of the old one.
  expect((await slurm.calls('sbatch')).at(-1)!.args[1]).toBe('--dependency=afterany:100:102');
  expect(again.replaced).toEqual(['101']);
  expect((await slurm.tasks()).find(({ jobId }) => jobId === '101')!.state).toBe('CANCELLED');
  // Called once more: nothing.
  expect((await submitJobs(options({ all }))).jobs).toEqual([]);
});

test('a controller that has forgotten the jobs: what is not done is submitted', async () => {
  await submitJobs(options());
  await slurm.forget();
  done.add('b');
  expect(kinds(await submitJobs(options()))).toEqual([
    ['members', 'a c'],
    ['evaluate', ''],
  ]);
  await slurm.forget();
  done = new Set(three);
  expect((await submitJobs(options())).jobs).toEqual([]);
  // Records of ended jobs are not asked for again.
  await submitJobs(options());
  expect((await slurm.calls('squeue')).at(-1)!.args).not.toContain('-001');
});

/** Submits in a process of its own, which may be killed. */
async function submitInProcess(): Promise<{ code: number | null; signal: string | null; output: string }> {
  const built = (name: string) =>
    JSON.stringify(new URL(`../../dist/cluster/${name}.js`, import.meta.url).href);
  const { planned, settings } = options();
  const script = `
    import { submitJobs } from ${built('jobs')};
    import { slurmQueue } from ${built('queue')};
    const given = ${JSON.stringify({ run, planned, settings, all: three })};
    const { jobs } = await submitJobs({
      ...given, queue: slurmQueue(), prepareArgs: async () => undefined, memberArgs: ['member'], programs: { trainer: 't', evaluator: 'e' },
      members: async () => ({ open: given.all, all: given.all, isEvaluated: false }),
    });
    console.log(JSON.stringify(jobs.map(({ kind }) => kind)));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { env: slurm.environment });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += String(data)));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code, signal, output };
}

test('a process that is killed between sbatch and the record: its job is found by its name', async () => {
  await slurm.sbatch({ die: true });
  expect(await submitInProcess()).toMatchObject({ signal: 'SIGKILL' });
  expect((await readJobRecords(run)).map(({ jobId }) => jobId)).toEqual([null]);
  expect(await slurm.tasks()).toHaveLength(3);
  await slurm.sbatch({});
  const again = await submitJobs(options());
  expect(kinds(again)).toEqual([['evaluate', '']]);
  expect(again.queued.map(({ member, task }) => [member, task.jobId])).toEqual([
    ['a', '100'],
    ['b', '100'],
    ['c', '100'],
  ]);
  expect((await readJobRecords(run)).map(({ jobId }) => jobId)).toEqual(['100', '101']);
});

test('two callers at once: one submits, the other is refused or finds everything queued', async () => {
  const ended = await Promise.all([submitInProcess(), submitInProcess()]);
  expect((await slurm.tasks()).map(({ index }) => index)).toEqual([0, 1, 2, null]);
  const outputs = ended.map(({ output }) => output.trim()).sort();
  expect(outputs).toContain('["members","evaluate"]');
  for (const output of outputs.filter((each) => each !== '["members","evaluate"]'))
    expect(output).toMatch(/another process is at work in this folder|could not be claimed|^\[\]$/);
});

test('the lock is held until the last job is submitted', async () => {
  let others: unknown;
  const members = async () => {
    others = await submitJobs(options()).catch((error: unknown) => error);
    return { open: three, all: three, isEvaluated: false };
  };
  await submitJobs(options({ members }));
  expect(String(others)).toMatch(/already claimed the folder/);
  const queue = slurmQueue(slurm.environment);
  const submitting: Promise<unknown>[] = [];
  // While sbatch runs, too.
  const slow = {
    ...queue,
    submit: async () => (submitting.push(claimFolder(join(run, 'slurm')).catch(String)), '7'),
  };
  await slurm.forget();
  await submitJobs(options({ queue: slow }));
  expect(await Promise.all(submitting)).toEqual(
    Array(2).fill(expect.stringMatching(/already claimed the folder/)),
  );
});

test('sbatch gets no variables of a job in which this command may run', async () => {
  const environment = {
    ...slurm.environment,
    SLURM_JOB_ID: '7',
    SLURM_CONF: '/etc/slurm.conf',
    SBATCH_PARTITION: 'x',
    SRUN_DEBUG: '1',
    KEPT: 'yes',
  };
  await submitJobs(options({ queue: slurmQueue(environment) }));
  for (const { environment } of await slurm.calls()) {
    expect(Object.keys(environment).filter((name) => /^(SLURM|SBATCH|SRUN)_/.test(name))).toEqual([
      'SLURM_CONF',
    ]);
    expect(environment['KEPT']).toBe('yes');
  }
  expect(Object.keys(cleanEnvironment({ SLURM_JOB_ID: '1', SLURM_CONF: 'c', A: 'b' }))).toEqual([
    'SLURM_CONF',
    'A',
  ]);
});

test('sbatch fails: its message is the error, and nothing counts as queued', async () => {
  await slurm.sbatch({ fail: 'Batch job submission failed: Invalid account' });
  await expect(submitJobs(options())).rejects.toThrow(
    'sbatch failed: sbatch: error: Batch job submission failed: Invalid account',
  );
  expect(await readJobRecords(run)).toEqual([]);
  expect(await readdir(join(run, 'slurm'))).toEqual(['logs']);
  await slurm.sbatch({});
  expect(kinds(await submitJobs(options()))).toEqual([
    ['members', 'a b c'],
    ['evaluate', ''],
  ]);
});

test('no Slurm on this machine: one error that says where to go', async () => {
  const queue = slurmQueue({ PATH: '/nowhere' });
  await expect(queue.list(['x'])).rejects.toThrow(
    /squeue is not on the PATH → run this command on a login node/,
  );
});

test('more members than an array may have: several arrays', async () => {
  const all = ['a', 'b', 'c', 'd', 'e', 'f'];
  const queue = slurmQueue({ ...slurm.environment, FAKE_MAX_ARRAY: '3' });
  expect(kinds(await submitJobs(options({ all, queue })))).toEqual([
    ['members', 'a b c'],
    ['members', 'd e f'],
    ['evaluate', ''],
  ]);
  expect((await slurm.calls('sbatch')).at(-1)!.args[1]).toBe('--dependency=afterany:100:101');
  await slurm.set('101_1', { state: 'FAILED' });
  expect(kinds(await submitJobs(options({ all, queue })))[0]).toEqual(['members', 'e']);
});

test('another preparation is queued: an error; a run that has to be prepared again while members run: an error', async () => {
  await submitJobs(options({ prepareArgs: async () => ['one'] }));
  await expect(submitJobs(options({ prepareArgs: async () => ['other'] }))).rejects.toThrow(
    /the job 100 prepares this run with other options → wait/,
  );
  await slurm.set('100', { state: 'COMPLETED' });
  await slurm.set('101_0', { state: 'RUNNING' });
  await expect(submitJobs(options({ prepareArgs: async () => ['other'] }))).rejects.toThrow(
    /3 of its members are queued or running → wait/,
  );
});

test('a preparation that failed takes its members with it, and both are submitted again', async () => {
  await submitJobs(options({ prepareArgs: async () => ['one'] }));
  for (const job of ['101', '102']) await slurm.set(job, { state: 'CANCELLED' });
  await slurm.set('100', { state: 'FAILED' });
  expect(kinds(await submitJobs(options({ prepareArgs: async () => ['one'] })))).toEqual([
    ['prepare', ''],
    ['members', 'a b c'],
    ['evaluate', ''],
  ]);
});

test('a command that trains the run on this machine is not joined by jobs', async () => {
  await using claim = await claimFolder(run);
  await expect(submitJobs(options())).rejects.toThrow(/process \d+ on .* is at work in this folder → wait/);
  expect(await slurm.calls('sbatch')).toHaveLength(0);
  expect(await claim.isHeld()).toBe(true);
});

test('a dry run submits and writes nothing, also where there is no Slurm', async () => {
  const problems: unknown[] = [];
  const planned = await dryRunJobs(options({ prepareArgs: async () => ['x'] }), (error) =>
    problems.push(error),
  );
  expect(kinds(planned).map(([kind]) => kind)).toEqual(['prepare', 'members', 'evaluate']);
  expect(planned.jobs[2]!.args[0]).toBe('--dependency=afterok:ID-OF-001,afterany:ID-OF-002');
  expect(await slurm.calls('sbatch')).toHaveLength(0);
  expect(await readdir(run)).toEqual([]);
  expect(problems).toEqual([]);
  await submitJobs(options());
  // The scripts are those that a submission writes.
  const same = await dryRunJobs(
    options({ run: `${run}/x`, queue: slurmQueue({ PATH: '/nowhere' }) }),
    () => {},
  );
  expect(same.jobs).toHaveLength(2);
});

test('the records of a copied run are another run’s: nothing of it counts as queued', async () => {
  await submitJobs(options());
  const copy = `${run}-copy`;
  await cp(run, copy, { recursive: true });
  try {
    const submitted = await submitJobs(options({ run: copy }));
    expect(submitted.jobs.map(({ kind }) => kind)).toEqual(['members', 'evaluate']);
    expect(submitted.jobs[0]!.file).toMatch(/003\.sh$/);
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
});

test('a damaged record is one error with its remedy', async () => {
  await submitJobs(options());
  await writeFile(join(run, 'slurm', '001.json'), '{}');
  await expect(submitJobs(options())).rejects.toThrow(/001\.json: field version: .* → delete it/);
  await writeJson(join(run, 'slurm', '001.json'), {});
});

test.each([
  ['Priority', false],
  ['Dependency', false],
  ['BeginTime', false],
  ['QOSMaxGRESPerUser', false],
  ['PartitionTimeLimit', true],
  ['AssocMaxWallDurationPerJobLimit', true],
  ['DependencyNeverSatisfied', true],
  ['launch failed requeued held', true],
  ['AssocMaxJobsLimit', false],
])('the reason %s: stuck %s', (reason, isStuck) => {
  expect(explainReason(reason).isStuck).toBe(isStuck);
  expect(explainReason(reason).text).not.toBe('');
});
