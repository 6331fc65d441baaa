// What a member is expected to need: time, memory and disk, from probes and from the epochs that the run has already trained.
import { UserError, usableMemory } from '@ct-ensemble/core';
import { type DatasetIndex, mapConcurrent, viewsOf } from '@ct-ensemble/data';
import type { Device, EngineKind } from '@ct-ensemble/engine';
import { readEpochSeconds } from '@ct-ensemble/training';
import { deviceName } from '../run/devices.ts';
import { foldsOf } from '../run/folds.ts';
import { readPlanIfPresent } from '../run/plan.ts';
import type { Recipe } from '../recipes/schema.ts';
import { memberFolder } from '../run-folder.ts';
import { readDone } from '../run-records.ts';
import type { ProbeResult } from './measure.ts';
import type { Probe } from './probe.ts';
import type { ProbeSettings } from './probe-settings.ts';

type Member = Recipe['members'][number];

export interface ExpectationOptions {
  recipe: Recipe;
  index: Pick<DatasetIndex, 'classes' | 'scans'>;
  devices: readonly Device[];
  engine: EngineKind;
  /** Folder of the run; its finished epochs are taken into account. */
  run?: string;
  /** What is known of a member's training: `probe`, or `knownProbe` to measure nothing; undefined: nothing. */
  probeOf: (settings: ProbeSettings) => Promise<Probe | undefined>;
}

/** What a member still needs on one kind of device. */
export interface Need {
  /** `cpu:2`, or `gpu` for any GPU. */
  device: string;
  /** Undefined: unknown. */
  seconds?: number;
  memoryBytes?: number;
  /** What the seconds are from. */
  source?: 'probe' | 'epochs of this run';
  /** Why it could not be measured. */
  error?: string;
}

export interface Expectation {
  member: string;
  architecture: string;
  state: 'new' | 'begun' | 'done';
  /** Scans that it is trained on and those that it is validated on. */
  scans: { train: number; val: number; test: number };
  /** One for each kind of device of the run, in the order of the devices. */
  needs: Need[];
  /** Bytes of its checkpoints and probabilities in the end; undefined: unknown. */
  diskBytes?: number;
}

/** Devices of the same kind need the same probe: all GPUs, and all CPU entries with as many threads. */
export const kindOfDevice = (device: Device) => (device.kind === 'gpu' ? 'gpu' : deviceName(device));

/** What each member of the recipe needs, in the recipe's order. Equal members are measured once. */
export async function expectMembers(options: ExpectationOptions): Promise<Expectation[]> {
  const { recipe, devices, run } = options;
  const kinds = new Map(
    devices.map((device) => [kindOfDevice(device), device]).reverse() as [string, Device][],
  );
  const names = [...new Set(devices.map(kindOfDevice))];
  const known = new Map<string, Promise<Probe | undefined>>();
  const probeOf = (settings: ProbeSettings) => {
    const key = JSON.stringify(settings);
    if (!known.has(key)) known.set(key, options.probeOf(settings));
    return known.get(key)!;
  };
  // A few at a time: a recipe may have more members than a process may have open files.
  const pasts = await mapConcurrent(recipe.members, 16, (member) => pastOf(run, { member, recipe }));
  /** Median seconds of an epoch by architecture, where only one kind of device can have been used. */
  const learnt = new Map<string, number>();
  if (names.length === 1)
    for (const { architecture } of recipe.members) {
      const seconds = pasts.flatMap((past, i) =>
        recipe.members[i]!.architecture === architecture ? past.epochSeconds : [],
      );
      if (seconds.length > 0) learnt.set(architecture, median(seconds));
    }
  const accumulates = await accumulatesOf(run);
  const scansOf = scansOfMembers(options);
  const expectations: Expectation[] = [];
  for (const [i, member] of recipe.members.entries()) {
    const { state, epochs, epochSeconds } = pasts[i]!;
    const scans = scansOf(member);
    const probes: { kind: string; found: Probe | undefined }[] = [];
    if (state !== 'done')
      for (const kind of names)
        probes.push({
          kind,
          found: await probeOf(
            probeSettingsOf(options, {
              member,
              device: kinds.get(kind)!,
              accumulate: accumulates.get(member.name),
            }),
          ),
        });
    const epoch = epochSeconds.length > 0 ? median(epochSeconds) : learnt.get(member.architecture);
    const needs = probes.map(({ kind, found }): Need => {
      const result = found?.result;
      const seconds = secondsOf({ result, recipe, scans, epochs, epoch });
      return {
        device: kind,
        ...(seconds !== undefined && {
          seconds,
          source: epoch === undefined ? 'probe' : 'epochs of this run',
        }),
        ...(result?.memoryBytes != null && { memoryBytes: result.memoryBytes }),
        ...(found?.error !== undefined && { error: found.error }),
      };
    });
    const measured = probes.find(({ found }) => found?.result)?.found?.result;
    expectations.push({
      member: member.name,
      architecture: member.architecture,
      state,
      scans,
      needs: state === 'done' ? names.map((device) => ({ device, seconds: 0 })) : needs,
      ...(measured && { diskBytes: diskOf(measured, { scans, classes: options.index.classes.length }) }),
    });
  }
  return expectations;
}

function probeSettingsOf(
  { recipe, index, devices, engine }: ExpectationOptions,
  { member, device, accumulate }: { member: Member; device: Device; accumulate: number | undefined },
): ProbeSettings {
  const { height, width } = recipe.volume;
  const same = devices.filter((other) => kindOfDevice(other) === kindOfDevice(device));
  // Members of different GPUs do not disturb each other; CPU members and members of one GPU do.
  const together = device.kind === 'cpu' ? same : same.filter(({ index }) => index === device.index);
  return {
    architecture: member.architecture,
    views: [...viewsOf(recipe.volume)],
    height,
    width,
    classes: index.classes.length,
    training: { ...recipe.training, ...(accumulate !== undefined && { accumulate }) },
    engine,
    engineSettings: recipe.engine ?? {},
    device: { ...device, ...(device.kind === 'cpu' && { index: 0 }) },
    atOnce: Math.min(together.length, recipe.members.length),
  };
}

/** Micro-batches of members whose plan has learnt that the recipe's need too much memory. */
async function accumulatesOf(run: string | undefined): Promise<Map<string, number>> {
  const plan = run === undefined ? undefined : await readPlanIfPresent(run).catch(() => undefined);
  return new Map(
    plan?.members.flatMap(({ name, accumulate }) =>
      accumulate === undefined ? [] : [[name, accumulate] as const],
    ),
  );
}

/** Counts the scans once; the function tells those of a member: of the splits, or of its fold and the other folds. */
function scansOfMembers({ index, recipe }: ExpectationOptions): (member: Member) => Expectation['scans'] {
  const usable = index.scans.filter(({ failure }) => failure === null);
  const count = (split: string) => usable.filter((scan) => scan.split === split).length;
  const [train, val, test] = [count('train'), count('val'), count('test')];
  const folds = [...(foldsOf(usable, recipe)?.values() ?? [])];
  const sizes = new Map<number, number>();
  for (const fold of folds) sizes.set(fold, (sizes.get(fold) ?? 0) + 1);
  return ({ fold }) => {
    if (fold === undefined) return { train, val, test };
    const held = sizes.get(fold) ?? 0;
    return { train: folds.length - held, val: held, test };
  };
}

interface Past {
  state: Expectation['state'];
  /** Finished epochs. */
  epochs: number;
  epochSeconds: number[];
}

/** What the run's folder says of a member; files that cannot be read say nothing here. */
async function pastOf(
  run: string | undefined,
  { member: { name }, recipe }: { member: Member; recipe: Recipe },
): Promise<Past> {
  if (run === undefined) return { state: 'new', epochs: 0, epochSeconds: [] };
  const { epochs } = recipe.training;
  const done = await readDone(run, name).catch(() => undefined);
  const epochSeconds = await readEpochSeconds(memberFolder(run, name)).catch(() => []);
  const measured = epochSeconds.flatMap((seconds) => seconds ?? []);
  if (done !== undefined && done.epochs >= epochs) return { state: 'done', epochs, epochSeconds: measured };
  const finished = Math.min(epochSeconds.length, epochs);
  return { state: finished > 0 ? 'begun' : 'new', epochs: finished, epochSeconds: measured };
}

interface Timing {
  result: ProbeResult | undefined;
  recipe: Recipe;
  scans: Expectation['scans'];
  /** Finished epochs. */
  epochs: number;
  /** Seconds of an epoch as the run has measured them. */
  epoch: number | undefined;
}

/** Seconds that a member still needs; undefined if neither a probe nor an epoch says so. */
function secondsOf({ result, recipe, scans, epochs, epoch }: Timing): number | undefined {
  const { training } = recipe;
  const batches = (count: number) => Math.ceil(count / training.batchSize);
  const left = training.epochs - epochs;
  if (result === undefined) return epoch === undefined ? undefined : left * epoch;
  const { stepSeconds, predictionSeconds, startSeconds, epochSeconds } = result;
  // A last step with fewer scans takes about its share of a step.
  const steps = scans.train / training.batchSize;
  const probed = steps * stepSeconds + batches(scans.val) * predictionSeconds + epochSeconds;
  const predictions = (batches(scans.val) + batches(scans.test)) * predictionSeconds;
  return startSeconds + left * (epoch ?? probed) + predictions;
}

/** Bytes of a scan's row in a file of probabilities, beside its numbers. */
const ROW = 120;
const NUMBER = 24;

/** The last checkpoint, the one before it, the best one, and the files of probabilities. */
function diskOf(
  { lastBytes, bestBytes }: ProbeResult,
  { scans, classes }: { scans: Expectation['scans']; classes: number },
): number {
  return 2 * lastBytes + bestBytes + (scans.val + scans.test) * (ROW + classes * NUMBER);
}

/** Memory in bytes that one member may use on a device; undefined: unknown. */
export function memoryOf(device: Device, hostMemory: number = usableMemory()): number | undefined {
  return device.kind === 'cpu' ? hostMemory : device.memoryLimit;
}

/** A line for each architecture whose measured peak memory exceeds what every device of the run has for one member. */
export function memoryProblems(
  expectations: readonly Expectation[],
  { devices, hostMemory = usableMemory() }: { devices: readonly Device[]; hostMemory?: number },
): string[] {
  const problems = new Set<string>();
  for (const { architecture, needs } of expectations) {
    const isTooLarge =
      needs.length > 0 &&
      needs.every(({ device, memoryBytes }) => {
        const rooms = devices
          .filter((each) => kindOfDevice(each) === device)
          .map((each) => memoryOf(each, hostMemory) ?? Infinity);
        return memoryBytes !== undefined && memoryBytes > Math.max(...rooms);
      });
    if (!isTooLarge) continue;
    const least = Math.min(...needs.map(({ memoryBytes }) => memoryBytes!));
    const most = Math.max(...devices.map((device) => memoryOf(device, hostMemory) ?? 0));
    problems.add(
      `a member of ${architecture} needs ${gibibytes(least)} at its peak, as a probe has measured, and may use ${gibibytes(most)}`,
    );
  }
  return [...problems];
}

/** @throws {UserError} if a member cannot be trained within the memory. */
export function requireMemory(
  expectations: readonly Expectation[],
  where: { devices: readonly Device[]; hostMemory?: number },
) {
  const problems = memoryProblems(expectations, where);
  if (problems.length === 0) return;
  throw new UserError(problems.join('; '), {
    remedy:
      'raise training.accumulate (smaller micro-batches, same batch), lower training.batchSize or the size of the volume, or use a machine or container with more memory',
  });
}

export const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
