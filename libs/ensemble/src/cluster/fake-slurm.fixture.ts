// For tests: sbatch, squeue, scancel and scontrol as small programs on a PATH of their own, with their state in a folder.
import { chmod, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** A task in the fake queue; `index` is null for a job without an array. */
export interface FakeTask {
  jobId: string;
  index: number | null;
  name: string;
  state: string;
  reason: string;
  nodes: string;
}

export interface FakeSlurm {
  environment: NodeJS.ProcessEnv;
  /** All tasks, in the order in which they were submitted. */
  tasks(): Promise<FakeTask[]>;
  /** Sets the state of tasks, by `12_3` or `12`. */
  set(job: string, fields: Partial<FakeTask>): Promise<void>;
  forget(): Promise<void>;
  /** Each call of a program: its name, arguments, folder and environment. */
  calls(
    program?: string,
  ): Promise<{ program: string; args: string[]; environment: Record<string, string> }[]>;
  /** `fail`: sbatch fails with this message; `die`: it submits, and kills the caller before it answers. */
  sbatch(how: { fail: string } | { die: true } | Record<string, never>): Promise<void>;
}

const program = `
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
const state = process.env.FAKE_SLURM;
const name = process.argv[2];
const args = process.argv.slice(3);
appendFileSync(state + '/calls.jsonl', JSON.stringify({ program: name, args, environment: process.env }) + '\\n');
const file = state + '/queue.json';
const queue = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { next: 100, tasks: [] };
const save = () => writeFileSync(file, JSON.stringify(queue));
const how = existsSync(state + '/sbatch.json') ? JSON.parse(readFileSync(state + '/sbatch.json', 'utf8')) : {};
const named = (task) => (task.index === null ? task.jobId : task.jobId + '_' + task.index);
if (name === 'sbatch') {
  if (how.fail) {
    console.error('sbatch: error: ' + how.fail);
    process.exit(1);
  }
  const script = readFileSync(args.at(-1), 'utf8');
  const option = (name) => new RegExp('^#SBATCH --' + name + '=(\\\\S+)', 'm').exec(script)?.[1];
  const jobId = String(queue.next++);
  const array = option('array');
  const last = array === undefined ? null : Number(/^0-(\\d+)/.exec(array)[1]);
  const reason = args.some((arg) => arg.startsWith('--dependency')) ? 'Dependency' : 'Priority';
  for (let i = 0; i <= (last ?? 0); i++)
    queue.tasks.push({ jobId, index: last === null ? null : i, name: option('job-name'), state: 'PENDING', reason, nodes: '' });
  save();
  if (how.die) {
    process.kill(process.ppid, 'SIGKILL');
    process.exit(0);
  }
  console.log(jobId);
} else if (name === 'squeue') {
  const names = args[args.indexOf('--name') + 1].split(',');
  for (const task of queue.tasks)
    if (names.includes(task.name))
      console.log([task.jobId, task.index ?? 'N/A', task.state, task.reason, task.nodes, task.name].join('|'));
} else if (name === 'scancel') {
  for (const task of queue.tasks)
    if (args.includes(named(task)) || args.includes(task.jobId)) task.state = 'CANCELLED';
  save();
} else if (name === 'scontrol') console.log('Configuration data\\nMaxArraySize            = ' + (process.env.FAKE_MAX_ARRAY ?? 1001));
`;

export async function fakeSlurm(environment: NodeJS.ProcessEnv = process.env): Promise<FakeSlurm> {
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-fake-slurm-'));
  const bin = join(folder, 'bin');
  await mkdir(bin);
  await writeFile(join(folder, 'program.mjs'), program);
  for (const name of ['sbatch', 'squeue', 'scancel', 'scontrol']) {
    // exec: the parent of the program is the process that called it.
    const text = `#!/bin/sh\nexec '${process.execPath}' '${join(folder, 'program.mjs')}' ${name} "$@"\n`;
    await writeFile(join(bin, name), text);
    await chmod(join(bin, name), 0o755);
  }
  const file = join(folder, 'queue.json');
  const read = async () =>
    JSON.parse(await readFile(file, 'utf8').catch(() => '{"next":100,"tasks":[]}')) as {
      next: number;
      tasks: FakeTask[];
    };
  return {
    environment: {
      ...environment,
      NODE_OPTIONS: '',
      PATH: `${bin}${delimiter}${environment['PATH'] ?? ''}`,
      FAKE_SLURM: folder,
    },
    tasks: async () => (await read()).tasks,
    async set(job, fields) {
      const queue = await read();
      for (const task of queue.tasks)
        if (job === task.jobId || job === `${task.jobId}_${task.index}`) Object.assign(task, fields);
      await writeFile(file, JSON.stringify(queue));
    },
    async forget() {
      const queue = await read();
      await writeFile(file, JSON.stringify({ ...queue, tasks: [] }));
    },
    async calls(wanted) {
      const text = await readFile(join(folder, 'calls.jsonl'), 'utf8').catch(() => '');
      const all = text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Awaited<ReturnType<FakeSlurm['calls']>>[number]);
      return all.filter((call) => wanted === undefined || call.program === wanted);
    },
    sbatch: (how) => writeFile(join(folder, 'sbatch.json'), JSON.stringify(how)),
  };
}
