// The command all-members: prepares the data set, trains every member of a recipe, prints a summary.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, print, printError, UserError } from '@ct-ensemble/core';
import { cacheFolder, type EngineKind, installTensorFlow } from '@ct-ensemble/engine';
import {
  classTable,
  datasetFile,
  type Isolation,
  logFile,
  memberFolder,
  type MemberOutcome,
  openRecipe,
  planFile,
  prepareRun,
  requirePretrained,
  splitsFile,
  tensorboardWriter,
  type PreparedRun,
  type Recipe,
  type TestTimeAugmentation,
  trainMembers,
} from '@ct-ensemble/ensemble';
import { makePhantoms } from '@ct-ensemble/phantoms';
import { Command, Option } from 'commander';
import { type ClaimedWork, claimedWork } from '../claimed-work.ts';
import {
  addDatasetOptions,
  allowLeaksOption,
  checkpointMinutesOption,
  dashboardOption,
  dataOption,
  devicesOption,
  engineOption,
  filterOption,
  fromScratchOption,
  isolationOption,
  masksOption,
  type NumericsOptions,
  numericsOptions,
  preparationChoice,
  type PreparationOptions,
  recipeOption,
  scanDeadlineOption,
  valuesOption,
  volumesOption,
} from '../options.ts';
import {
  addSlurmOptions,
  refuseSlurmOptions,
  slurmDevice,
  type SlurmOptions,
  submitToSlurm,
} from '../slurm.ts';
import { plan } from './plan.ts';
import { type Dashboard, openDashboard } from '../dashboard/server.ts';
import { memberDisplay } from '../terminal/members.ts';
import { counter } from '../terminal/progress.ts';

interface AllMembersOptions extends PreparationOptions, NumericsOptions, SlurmOptions {
  data?: string;
  recipe: string;
  /** No member starts from published weights. */
  fromScratch?: boolean;
  run?: string;
  devices: string;
  engine: EngineKind;
  volumes?: string;
  isolation: Isolation;
  checkpointMinutes: number;
  /** Prints the plan, or the scripts of the jobs, and trains nothing. */
  dryRun?: boolean;
  /** Prepares the run, and trains nothing. */
  prepareOnly?: boolean;
  on: 'local' | 'slurm';
  /** Port of the live page, or whether there is one. */
  dashboard?: number | true;
}

export function allMembersCommand(): Command {
  const command = new Command('all-members')
    .description('Trains every member of a recipe. Started again, it continues where it stopped.')
    .addOption(dataOption('folder of the data set', 'phantom scans, which are made first'));
  addDatasetOptions(command)
    .addOption(recipeOption('quick'))
    .addOption(fromScratchOption('start no member from published weights, whatever the recipe says'))
    .option('--run <dir>', 'folder of the run (default: runs/<name of the recipe>)')
    .addOption(devicesOption())
    .addOption(engineOption())
    .addOption(isolationOption())
    .addOption(checkpointMinutesOption())
    .addOption(volumesOption('--volumes'))
    .addOption(scanDeadlineOption())
    .addOption(valuesOption())
    .addOption(filterOption())
    .addOption(masksOption())
    .addOption(allowLeaksOption())
    .addOption(dashboardOption())
    .option(
      '--dry-run',
      'print the plan as trainer:plan does, or with --on slurm the scripts of the jobs, and train nothing',
    )
    .option('--prepare-only', 'prepare the run (plan, scans and volumes), and train nothing')
    .addOption(
      new Option(
        '--on <where>',
        'train on this machine, or submit a job for each member to a Slurm cluster and return',
      )
        .choices(['local', 'slurm'])
        .default('local'),
    )
    .action(async (options: AllMembersOptions) => {
      process.exitCode = await allMembers(options);
    });
  for (const option of numericsOptions()) command.addOption(option);
  return addSlurmOptions(command);
}

/** Folder and seed of the phantom scans that are used when no data set is given. */
const phantoms = { folder: join('datasets', 'phantoms'), seed: 1 };

/** Runs the command. Returns the exit code: 0 if all members are done, 1 if a member failed, 130 if it was stopped. */
async function allMembers(options: AllMembersOptions): Promise<number> {
  if (options.labels !== undefined && options.data === undefined)
    throw new UserError('--labels names a table of scans, but there is no data set', {
      remedy: 'name the folder of the scans with --data',
    });
  const isLocal = options.on === 'local';
  if (isLocal) refuseSlurmOptions(options);
  if (options.dryRun && isLocal) return plan({ ...options, data: options.data ?? phantomsForPlan() });
  const recipe = await openRecipe(options.recipe, options);
  const run = options.run ?? join('runs', recipe.name);
  requirePretrained(recipe, run);
  const store = options.volumes ?? join(cacheFolder(), 'volumes');
  const start: Start = { recipe, run, store, devices: options.devices };
  if (!isLocal) return onSlurm(options, start);
  if (options.engine === 'tensorflow') await installTensorFlow({ log: print });
  if (options.prepareOnly) return prepareOnly(options, start);
  return claimedWork(run, async (claimed) => {
    const prepared = await prepare(options, { ...start, claimed });
    const checkpointSeconds = 60 * options.checkpointMinutes;
    const { isolation, dashboard } = options;
    const page = dashboard === undefined ? undefined : await dashboardOf(run, dashboard);
    try {
      return await runMembers(prepared, { run, store, isolation, checkpointSeconds, ...claimed });
    } finally {
      await page?.end();
    }
  });
}

interface Start {
  recipe: Recipe;
  run: string;
  /** Folder of the volume store. */
  store: string;
  devices: string;
  /** Memory of a member that is trained elsewhere. */
  memory?: number;
}

async function prepare(
  options: AllMembersOptions,
  { claimed, ...start }: Start & { claimed: ClaimedWork },
): Promise<PreparedRun> {
  const data = options.data ?? (await phantomScans());
  const count = counter('Preparing volumes');
  return prepareRun({
    data,
    ...preparationChoice(options),
    ...start,
    engine: options.engine,
    isolation: options.isolation,
    onProgress: ({ done, total, scan }) => count(done, total, scan),
    signal: claimed.signal,
  });
}

/** Prepares the run. Its members may be trained on another machine, so this one's memory is not asked for. */
const prepareOnly = (options: AllMembersOptions, start: Start) =>
  claimedWork(start.run, async (claimed) => {
    const prepared = await prepare(options, { ...start, memory: Infinity, claimed });
    describeRun(start.run, prepared);
    print('The run is prepared.');
    return 0;
  });

async function onSlurm(options: AllMembersOptions, start: Start): Promise<number> {
  const { recipe, run, store } = start;
  const { engine, dryRun = false, dashboard } = options;
  if (options.prepareOnly || dashboard !== undefined)
    throw new UserError(
      `--on slurm does not work with --${options.prepareOnly ? 'prepare-only' : 'dashboard'}`,
      {
        remedy: options.prepareOnly ? 'use --prepare job or here' : 'use trainer:dashboard',
      },
    );
  const device = slurmDevice(options.devices, engine);
  const data = options.data ?? (dryRun ? phantomsForPlan() : await phantomScans());
  // Nodes may have no network.
  if (engine === 'tensorflow' && !dryRun) await installTensorFlow({ gpu: device === 'gpu:0', log: print });
  return submitToSlurm({
    ...options,
    data,
    recipeName: options.recipe,
    recipe,
    run,
    device,
    store,
    prepareHere: () => prepareOnly({ ...options, data }, { ...start, devices: device }),
  });
}

export interface RunMembersOptions extends ClaimedWork {
  run: string;
  /** Folder of the volume store. */
  store: string;
  /** As in `trainMembers`. */
  predictOnly?: boolean;
  augmentation?: TestTimeAugmentation;
  isolation?: Isolation;
  checkpointSeconds?: number;
}

/** Trains the members of a prepared run, shows their progress and a summary. Returns the exit code. */
export async function runMembers(prepared: PreparedRun, options: RunMembersOptions): Promise<number> {
  const { plan, devices, expected, draws, state } = prepared;
  const { stopping, lost, ...train } = options;
  const { run } = options;
  describeRun(run, prepared);
  const display = memberDisplay(plan, state);
  stopping.notify = display.notify;
  const tensorboard = tensorboardWriter(run, (problem) => display.notify(`NOTE: ${problem}`));
  const outcomes = await trainMembers({
    ...train,
    plan,
    devices,
    expected,
    draws,
    onEvent(event) {
      display.event(event);
      // After a start, too: an earlier coordinator may have been killed before it wrote the last epoch.
      if (event.kind !== 'progress' || event.progress.kind !== 'step') tensorboard.update(event.member);
    },
  });
  await tensorboard.end();
  await display.end();
  lost.throwIfAborted();
  return summarise(plan, { run, outcomes });
}

/** Opens the live page. The training does without it if that fails. */
async function dashboardOf(run: string, port: number | true): Promise<Dashboard | undefined> {
  try {
    const dashboard = await openDashboard({ run, port: port === true ? 0 : port });
    print(`Dashboard: ${dashboard.address}`);
    return dashboard;
  } catch (error) {
    printError(`NOTE: there is no dashboard: ${messageOf(error)}`);
    return undefined;
  }
}

/** A dry run makes no scans. */
function phantomsForPlan(): string {
  if (existsSync(join(phantoms.folder, 'phantoms.json'))) return phantoms.folder;
  throw new UserError('--dry-run plans for the scans of a data set, and there is none yet', {
    remedy: 'name the folder of the scans with --data',
  });
}

async function phantomScans(): Promise<string> {
  if (!existsSync(join(phantoms.folder, 'phantoms.json')))
    print(`No --data given: making phantom scans in ${phantoms.folder}`);
  const count = counter('Making phantom scans');
  await makePhantoms({ ...phantoms, onProgress: (done, total) => count(done, total) });
  return phantoms.folder;
}

function describeRun(run: string, { plan, scans, report, state, notes }: PreparedRun) {
  const { classes, root, layout, splits } = plan.dataset;
  print(
    `${state === 'new' ? 'New run' : 'Continuing the run'} in ${run}: recipe ${plan.recipe.name}, data ${root}`,
  );
  print(
    `Layout ${layout}, ${classes.length} classes; ` +
      (splits === 'data'
        ? 'splits as the data set has them'
        : `splits made by patient as the recipe says: ${splitsFile(run)}`),
  );
  print(classTable(scans[0]!.scans, { classes, training: plan.recipe.training }));
  for (const note of notes) print(note);
  const findings = report.findings.length;
  if (findings > 0)
    print(`${findings} ${findings === 1 ? 'finding' : 'findings'} in the data set: see ${datasetFile(run)}`);
  print(`${plan.members.length} members on ${plan.devices.join(', ')} (engine ${plan.engine})`);
}

function summarise(
  plan: PreparedRun['plan'],
  { run, outcomes }: { run: string; outcomes: readonly MemberOutcome[] },
): number {
  const of = (status: MemberOutcome['status']) => outcomes.filter((outcome) => outcome.status === status);
  print('');
  for (const { member, macroF1, attempts } of of('done')) {
    const fold = plan.members.find(({ name }) => name === member)?.fold;
    const scored = fold === undefined ? 'the validation scans' : `the scans of fold ${fold}`;
    const score = macroF1 === null ? '' : `, best macro F1 ${macroF1.toFixed(4)} on ${scored}`;
    const needed = attempts > 1 ? `, needed ${attempts} attempts` : '';
    print(`done     ${member}${score}${needed}: ${memberFolder(run, member)}`);
  }
  for (const { member } of of('stopped'))
    print(`stopped  ${member}: the same command continues its training`);
  for (const { member } of of('untrained'))
    print(`not trained  ${member}: nx run trainer:all-members trains it`);
  for (const { member, notes } of outcomes) for (const note of notes) print(`NOTE     ${member}: ${note}`);
  for (const outcome of of('failed')) printFailure(run, outcome);
  print(`plan: ${planFile(run)}; data set report: ${datasetFile(run)}`);
  if (of('failed').length > 0) {
    if (of('done').length > 0)
      print(
        `nx run evaluator:submit -- --run ${run} evaluates those that are done and says which are missing`,
      );
    return 1;
  }
  if (of('stopped').length > 0) return 130;
  print(`next: nx run evaluator:submit -- --run ${run}`);
  return 0;
}

/** A failed member with its cause last. */
function printFailure(run: string, { member, reason, attempts, stderrTail }: MemberOutcome) {
  const needed = attempts > 1 ? ` (${attempts} attempts, log: ${logFile(run, member)})` : '';
  print(`FAILED   ${member}: ${reason}${needed}`);
  if (stderrTail !== undefined) for (const line of stderrTail.split('\n')) print(`         ${line}`);
}
