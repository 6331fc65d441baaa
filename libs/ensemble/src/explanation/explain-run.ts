// Explains what the trained members of a run answer for its scans: which slices speak for a class, and where.
import { relative } from 'node:path';
import { UserError } from '@ct-ensemble/core';
import { openVolumeStore, type ScanEntry } from '@ct-ensemble/data';
import { type EngineKind, openEngine } from '@ct-ensemble/engine';
import { type CamMethod, loadWeights } from '@ct-ensemble/models';
import { requireBest } from '@ct-ensemble/training';
import { didYouMean } from '../names.ts';
import { openDataset } from '../run/dataset.ts';
import { type MemberPlan, type Plan, readPlan } from '../run/plan.ts';
import { doneFile, memberFolder, type MemberScans, type RunScan } from '../run-folder.ts';
import { readAllScans, readDone } from '../run-records.ts';
import { classIndex, type ExplainedScan, explainScan } from './explanation.ts';
import { type LoadedModels, loadedModels } from './loaded-models.ts';

export interface ExplainRunOptions {
  /** Folder of the run. */
  run: string;
  /** Folder of the prepared volumes. */
  store: string;
  /** Keys or names of scans. Default: the first four test scans, or validation scans if there are none. */
  scans?: readonly string[];
  /** Names of members. Default: those that are trained and have not seen the scan in their training; else all trained ones. */
  members?: readonly string[];
  /** Default: `grad-cam`. */
  method?: CamMethod;
  /** The class that is explained. Default: the class that the mean of the members' probabilities predicts. */
  className?: string;
  /** Default: `tensorflow`. */
  engine?: EngineKind;
}

/**
 * Explains the scans one after the other. Members of folds explain by default the scans of their own fold and test scans, which
 * they were not trained on. The volumes must be in the store.
 * @throws {UserError} for a run without trained members, unknown scans, members or classes, and missing volumes or weights.
 */
export async function* explainRun(options: ExplainRunOptions): AsyncGenerator<ExplainedScan> {
  const { run, engine: kind = 'tensorflow', method = 'grad-cam', className } = options;
  const plan = await readPlan(run);
  const { classes } = plan.dataset;
  const target = className === undefined ? undefined : classIndex(className, classes);
  const groups = await readAllScans(run);
  const scans = chosenScans(groups[0]!.scans, options.scans);
  const trained = await trainedMembers(run, plan, options.members);
  const files = await filesOf(plan);
  const engine = await openEngine({ engine: kind });
  const models = loadedModels<MemberPlan>({
    classes: classes.length,
    viewsOf: ({ views }) => views.map(({ depth }) => depth),
    async load({ name }, model) {
      const { file } = await requireBest(memberFolder(run, name), (await readDone(run, name))!);
      await loadWeights(model.parameters, file);
    },
  });
  try {
    for (const { key } of scans)
      yield await explainScanOfRun({ ...options, key, target, method, plan, groups, trained, files, models });
  } finally {
    models.dispose();
    engine.close();
  }
}

interface ScanOptions extends Omit<ExplainRunOptions, 'method'> {
  key: string;
  target: number | undefined;
  method: CamMethod;
  plan: Plan;
  groups: readonly MemberScans[];
  trained: readonly MemberPlan[];
  files: ScanFiles;
  models: LoadedModels<MemberPlan>;
}

async function explainScanOfRun(options: ScanOptions): Promise<ExplainedScan> {
  const { key, plan, groups, trained, files, models, method } = options;
  const store = openVolumeStore(options.store);
  const { classes } = plan.dataset;
  const scanFor = ({ name }: MemberPlan) =>
    groups.find(({ members }) => members.includes(name))!.scans.find((scan) => scan.key === key)!;
  const first = scanFor(trained[0]!);
  const unseen = trained.filter((member) => !isTrainedOn(member, first));
  const members = options.members !== undefined || unseen.length === 0 ? trained : unseen;
  const inputs = await Promise.all(
    members.map(async (member) => {
      const { volume: content, failure } = scanFor(member);
      if (content === null)
        throw new UserError(`scan ${key} has no volume: ${failure}`, { remedy: 'choose another scan' });
      const { sources } = await store.record(content);
      const trainedOn = isTrainedOn(member, first);
      return { member: member.name, trainedOn, volume: await store.read(content), sources, weight: 1 };
    }),
  );
  const explained = await explainScan({
    scan: { key, split: first.split, label: first.label, fileOf: (position) => files.of(key, position) },
    inputs,
    modelOf: (name) => models.of(members.find((member) => member.name === name)!),
    classes,
    target: options.target,
    method,
  });
  const seen = explained.explanation.members.filter(({ trainedOn }) => trainedOn).map(({ member }) => member);
  return {
    ...explained,
    findings: [
      ...(seen.length === 0 ? [] : [`${key}: trained on this scan: ${seen.join(', ')}`]),
      ...(files.problem === null ? [] : [files.problem]),
    ],
  };
}

/** Members of folds are trained on the scans of all other folds, other members on those of the split train. */
function isTrainedOn({ fold }: MemberPlan, scan: RunScan): boolean {
  if (fold === undefined) return scan.split === 'train';
  return scan.fold !== undefined && scan.fold !== null && scan.fold !== fold;
}

async function trainedMembers(
  run: string,
  plan: Plan,
  wanted: readonly string[] | undefined,
): Promise<MemberPlan[]> {
  const names = plan.members.map(({ name }) => name);
  for (const name of wanted ?? [])
    if (!names.includes(name))
      throw new UserError(`there is no member ${name}${didYouMean(name, names)}`, {
        file: run,
        remedy: `choose among ${names.join(', ')}`,
      });
  const trained: MemberPlan[] = [];
  for (const member of plan.members) {
    if (wanted !== undefined && !wanted.includes(member.name)) continue;
    const done = await readDone(run, member.name);
    if (done !== undefined) trained.push(member);
    else if (wanted !== undefined)
      throw new UserError(`the member ${member.name} is not trained yet`, {
        file: doneFile(run, member.name),
        remedy: `nx run trainer:all-members -- --run ${run}`,
      });
  }
  if (trained.length > 0) return trained;
  throw new UserError('no member of this run is trained', {
    file: run,
    remedy: `nx run trainer:all-members -- --run ${run}`,
  });
}

/** Scans that are explained if none is named. */
const USUAL_SCANS = 4;

function chosenScans(scans: readonly RunScan[], wanted: readonly string[] | undefined): RunScan[] {
  if (wanted === undefined) {
    const usable = (split: string) => scans.filter((scan) => scan.split === split && scan.volume !== null);
    const [test, val] = [usable('test'), usable('val')];
    return (test.length > 0 ? test : val).slice(0, USUAL_SCANS);
  }
  return wanted.map((name) => {
    const found = scans.filter((scan) => scan.key === name);
    const named = found.length > 0 ? found : scans.filter((scan) => scan.name === name);
    if (named.length === 1) return named[0]!;
    if (named.length > 1)
      throw new UserError(`the run has several scans named ${name}`, {
        remedy: `give the key of one: ${named.map(({ key }) => key).join(', ')}`,
      });
    const keys = scans.map(({ key }) => key);
    throw new UserError(`the run has no scan ${name}${didYouMean(name, keys)}`, {
      remedy: 'give the key of a scan as dataset.json lists it, such as ' + keys[0],
    });
  });
}

interface ScanFiles {
  /** The file of a slice; null if it is not known. */
  of(key: string, position: number): string | null;
  /** Why no file is known; null if the data set could be read. */
  problem: string | null;
}

/** The files of the scans, from the data set, which may be absent. */
async function filesOf(plan: Plan): Promise<ScanFiles> {
  const { root, layout, labels } = plan.dataset;
  try {
    const { recipe } = plan;
    const { scans } = await openDataset({
      ...{ data: root, layout, recipe, allowLeaks: true },
      ...(labels !== null && { labels }),
    });
    const entries = new Map<string, ScanEntry>(scans.map((scan) => [scan.key, scan]));
    return {
      of(key, position) {
        const entry = entries.get(key);
        const file = entry?.format === 'images' ? entry.slices[position] : undefined;
        return file === undefined ? null : relative(root, file).replaceAll('\\', '/');
      },
      problem: null,
    };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const problem = `the files of the slices are not named, because the data set cannot be read: ${error.message}`;
    return { of: () => null, problem };
  }
}
