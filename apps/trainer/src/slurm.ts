// --on slurm of the command all-members: checks the run as a local start does, and submits its jobs.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf, print, printError, UserError } from '@ct-ensemble/core';
import type { EngineKind } from '@ct-ensemble/engine';
import {
  checkArgument,
  checkRun,
  type ClusterOptions,
  clusterSettings,
  dryRunJobs,
  explainReason,
  type Isolation,
  memoryBytes,
  openMembers,
  type PlannedJob,
  readSite,
  type Recipe,
  shellWord,
  slurmQueue,
  type SubmittedJobs,
  type SubmitJobsOptions,
  submitJobs,
  taskName,
  timeSeconds,
} from '@ct-ensemble/ensemble';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { count, type NumericsOptions, preparationChoice, type PreparationOptions } from './options.ts';

export interface SlurmOptions extends ClusterOptions {
  site?: string;
  /** Where the run is prepared; undefined: by a job, if it is not prepared yet. */
  prepare?: 'job' | 'here';
}

/** Adds the options that take part in `--on slurm` alone. */
export function addSlurmOptions(command: Command): Command {
  const text = (flags: string, what: string) =>
    new Option(flags, `with --on slurm: ${what} (default: the site file's)`);
  const checked = (check: (text: string) => unknown) => (value: string) => {
    try {
      check(value);
    } catch (error) {
      throw new InvalidArgumentError(messageOf(error));
    }
    return value;
  };
  const options = [
    new Option(
      '--site <file>',
      `with --on slurm: file with the defaults of the cluster (default: ct-ensemble.site.yaml here, else ~/.config/ct-ensemble/site.yaml)`,
    ),
    text('--partition <name>', 'partition of the jobs'),
    new Option(
      '--time <limit>',
      "with --on slurm: time limit of a member, such as 12:00:00; a member that reaches it continues in a further job (default: from the plan or the site file, whichever is shorter, else the partition's)",
    ).argParser(checked(timeSeconds)),
    new Option(
      '--mem <size>',
      "with --on slurm: memory of a member's job, such as 32G (default: the site file's, else from the plan, else 32G with a GPU and 16G without)",
    ).argParser(checked(memoryBytes)),
    new Option(
      '--cpus <number>',
      "with --on slurm: CPU cores of a member's job (default: the site file's, else 4 with a GPU, else as many as --devices names)",
    ).argParser(count),
    text('--account <name>', 'account that the jobs are charged to'),
    text('--qos <name>', 'quality of service of the jobs'),
    text('--constraint <features>', "features that a member's node must have"),
    new Option(
      '--parallel <number>',
      'with --on slurm: members that train at the same time at most (default: no limit)',
    ).argParser(count),
    new Option(
      '--sbatch <argument>',
      "with --on slurm: further argument of sbatch for the members' jobs, such as --sbatch=--gres=gpu:a100:1; may be given several times",
    ).argParser((value: string, before: string[] | undefined) => [
      ...(before ?? []),
      checked(checkArgument)(value),
    ]),
    new Option(
      '--prepare <where>',
      'with --on slurm: where the volumes are prepared: by a job, or here before the jobs are submitted (default: job, if the run is not prepared yet)',
    ).choices(['job', 'here']),
  ];
  return options.reduce((to, option) => to.addOption(option), command);
}

/** Names of the options of `addSlurmOptions`, as commander stores them. */
const SLURM_ONLY = [
  'site',
  'partition',
  'time',
  'mem',
  'cpus',
  'account',
  'qos',
  'constraint',
  'parallel',
  'sbatch',
  'prepare',
] as const satisfies (keyof SlurmOptions)[];

/** @throws {UserError} if an option of the cluster is given for a run on this machine. */
export function refuseSlurmOptions(options: SlurmOptions) {
  const [given] = SLURM_ONLY.filter((name) => options[name] !== undefined);
  if (given !== undefined)
    throw new UserError(`--${given} is for a run on a cluster`, {
      remedy: 'add --on slurm, or leave it out',
    });
}

/** The device of every member, from `--devices`. @throws {UserError} if it names several. */
export function slurmDevice(devices: string, engine: EngineKind): string {
  const text = devices.trim();
  if (text === 'auto') return engine === 'cpu' ? 'cpu:1' : 'gpu:0';
  if (text === 'gpu' || text === 'gpu:0') return 'gpu:0';
  if (/^cpu:[1-9]\d*$/.test(text)) return text;
  throw new UserError(
    `--devices: with --on slurm each member has one device of its own, and "${text}" names none such`,
    {
      remedy: 'write auto or gpu (one GPU for each member), or cpu:4 (four CPU cores for each member)',
    },
  );
}

export interface SubmitToSlurmOptions extends PreparationOptions, NumericsOptions, SlurmOptions {
  data: string;
  /** As it was given: a name or a file. */
  recipeName: string;
  recipe: Recipe;
  fromScratch?: boolean;
  run: string;
  device: string;
  engine: EngineKind;
  isolation: Isolation;
  checkpointMinutes: number;
  store: string;
  dryRun?: boolean;
  /** Prepares the run in this process. */
  prepareHere: () => Promise<number>;
}

/** Checks and submits the run. Returns the exit code. */
export async function submitToSlurm(options: SubmitToSlurmOptions): Promise<number> {
  const { run, recipe, device, engine, store, dryRun = false } = options;
  const programs = builtPrograms();
  const { site, file } = await readSite(options.site);
  // The memory of a member decides about checks, and what is expected of members about their memory: the first look decides nothing.
  const memory = options.mem ?? site.mem;
  const check = () =>
    checkRun({
      data: options.data,
      ...preparationChoice(options),
      recipe,
      run,
      devices: device,
      engine,
      isolation: options.isolation,
      store,
      memory: memory === undefined ? Infinity : memoryBytes(memory),
    });
  const checked = await check();
  const expected = checked.expected
    .filter(({ state }) => state !== 'done')
    .map(({ needs: [need] }) => ({ seconds: need?.seconds, memoryBytes: need?.memoryBytes }));
  const settings = clusterSettings({ site, options, device, expected });
  const { members: request } = settings;
  if (file !== null) print(`Defaults of the cluster: ${file}`);
  for (const note of settings.notes) print(`NOTE: ${note}`);
  print(
    `${recipe.members.length} members, each on ${device === 'gpu:0' ? 'a GPU' : device}, with ${request.cpus} cores, ${request.mem} of memory and ` +
      (request.time === undefined ? "the partition's default time limit" : `a time limit of ${request.time}`),
  );
  const isHere = options.prepare === 'here';
  if (isHere && !dryRun) {
    const code = await options.prepareHere();
    if (code !== 0) return code;
  }
  const isAsked = options.prepare === 'job';
  const jobs: SubmitJobsOptions = {
    run,
    queue: slurmQueue(),
    settings,
    programs,
    async prepareArgs() {
      if (isHere || (checked.isPrepared && !isAsked)) return undefined;
      // Since the first look the job of an earlier call may have prepared the run.
      return !isAsked && (await check()).isPrepared ? undefined : prepareArgs(options);
    },
    memberArgs: memberArgs(options),
    members: () => openMembers(run, { recipe, hasNewTestScans: checked.hasNewTestScans && !isHere }),
    planned: {
      recipe: recipe.name,
      epochs: recipe.training.epochs,
      devices: [device],
      members: recipe.members.map(({ name, architecture, seed, fold }) => ({
        name,
        architecture,
        seed,
        ...(fold !== undefined && { fold }),
      })),
    },
  };
  if (dryRun) {
    const planned = await dryRunJobs(jobs, (error) =>
      printError(`NOTE: the queue could not be asked, so it counts as empty: ${messageOf(error)}`),
    );
    for (const job of planned.jobs) printScript(job);
    report(run, planned, { isDry: true });
    return 0;
  }
  report(run, await submitJobs(jobs), { isDry: false });
  return 0;
}

/** @throws {UserError} if a program that the jobs run is not built. */
function builtPrograms() {
  const built = (file: string) => fileURLToPath(new URL(file, import.meta.url));
  // From src/ and dist/ alike.
  const programs = { trainer: built('../dist/main.js'), evaluator: built('../../evaluator/dist/main.js') };
  for (const [name, file] of Object.entries(programs))
    if (!existsSync(file))
      throw new UserError('the program is not built', { file, remedy: `npx nx run ${name}:build` });
  return programs;
}

/** Arguments of the job that prepares the run: this command's own, with paths that do not depend on the current folder. */
function prepareArgs(options: SubmitToSlurmOptions): string[] {
  const { recipeName } = options;
  const path = (file: string | undefined) => (file === undefined ? undefined : resolve(file));
  const weights = (choice: string | undefined, builtIn: string) =>
    choice === builtIn ? undefined : path(choice);
  const values: Record<string, string | number | undefined> = {
    data: path(options.data),
    layout: options.layout,
    labels: path(options.labels),
    'scan-column': options.scanColumn,
    'label-column': options.labelColumn,
    'patient-column': options.patientColumn,
    'split-column': options.splitColumn,
    'group-column': options.groupColumn,
    recipe: /[/\\]|\.ya?ml$/i.test(recipeName) ? path(recipeName) : recipeName,
    run: path(options.run),
    devices: options.device,
    engine: options.engine,
    isolation: options.isolation,
    volumes: path(options.store),
    'scan-deadline': options.scanDeadline,
    values: options.values,
    filter: weights(options.filter, 'area'),
    masks: weights(options.masks, 'threshold'),
    precision: options.precision,
    'memory-limit': options.memoryLimit,
  };
  const flags: Record<string, boolean | undefined> = {
    'from-scratch': options.fromScratch,
    'allow-leaks': options.allowLeaks,
    tf32: options.tf32,
    'no-tf32': options.tf32 === false,
    deterministic: options.deterministic,
    'prepare-only': true,
  };
  return [
    'all-members',
    ...Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`])),
    ...Object.entries(flags).flatMap(([name, isSet]) => (isSet ? [`--${name}`] : [])),
  ];
}

function memberArgs({ run, device, store, isolation, checkpointMinutes }: SubmitToSlurmOptions): string[] {
  return [
    'member',
    `--run=${resolve(run)}`,
    `--devices=${device === 'gpu:0' ? 'gpu' : device}`,
    `--volumes=${resolve(store)}`,
    `--isolation=${isolation}`,
    `--checkpoint-minutes=${checkpointMinutes}`,
  ];
}

const KINDS: Record<PlannedJob['kind'], string> = {
  prepare: 'preparation',
  members: 'members',
  evaluate: 'evaluation, after all members',
};

function printScript({ file, script, args }: PlannedJob) {
  print(`# ${file}\n# ${['sbatch', '--parsable', ...args, file].map(shellWord).join(' ')}`);
  print(script);
}

function report(run: string, { jobs, queued, kept, replaced }: SubmittedJobs, { isDry }: { isDry: boolean }) {
  for (const { kind, jobId, members } of jobs) {
    const what =
      kind === 'members'
        ? `${members.length} ${members.length === 1 ? 'member' : 'members'}: ${members.join(', ')}`
        : KINDS[kind];
    print(isDry ? `would submit  ${what}` : `submitted  job ${jobId}  ${what}`);
  }
  for (const { kind, jobId } of kept) print(`queued already  job ${jobId}  ${KINDS[kind]}`);
  for (const { member, task } of queued) {
    const { text } = task.state === 'PENDING' ? explainReason(task.reason) : { text: '' };
    const why = task.state === 'PENDING' ? ` (${task.reason}${text === '' ? '' : `: ${text}`})` : '';
    print(`queued already  job ${taskName(task)}  ${member}: ${task.state}${why}`);
  }
  for (const jobId of replaced)
    print(
      `${isDry ? 'would cancel' : 'cancelled'}  job ${jobId}  the earlier evaluation: the new one waits for more members`,
    );
  if (jobs.length + queued.length + kept.length === 0)
    return print('nothing to submit: every member is done and evaluated');
  if (isDry) return;
  print(
    `next: nx run trainer:status -- --run ${shellWord(run)} --watch; trainer:logs shows the output of the jobs, trainer:stop cancels them`,
  );
}
