// The files of a run folder that are read back, each with its schema: whatever a person or another program may have changed
// is checked here, and only here. plan.json has its schema in run/plan.ts, probabilities in results/probabilities.ts.
import { asUserError, codeOf, MAX_BYTES, messageOf, readRegularFile, UserError } from '@ct-ensemble/core';
import type { StoredScan } from '@ct-ensemble/data';
import { unpack } from 'msgpackr';
import { z } from 'zod';
import { fitting, readRecord, unfit } from './json-record.ts';
import { scansOfFold } from './run/folds.ts';
import { configFile, doneFile, type MemberScans, scansFile } from './run-folder.ts';

const doneSchema = z.looseObject({
  /** Epochs that were trained. */
  epochs: z.int().nonnegative(),
  /** Counts from 1. */
  bestEpoch: z.int().positive().nullable(),
  /** Macro F1 of the best epoch on the validation scans. */
  macroF1: z.number().nullable(),
  /** Relative to the member's folder. */
  weights: z.string(),
  /** SHA-256 of the tensors of the best checkpoint; absent in runs of earlier versions. */
  sha256: z.string().optional(),
});

/** The content of a member's done.json. */
export type DoneRecord = z.infer<typeof doneSchema>;

const environmentSchema = z.object({
  /** First epoch that was trained like this; counts from 0. */
  fromEpoch: z.int().nonnegative(),
  /** Finished steps of that epoch that were trained like before; absent: none. */
  fromStep: z.int().positive().optional(),
  engine: z.enum(['tensorflow', 'cpu']),
  /** `cpu:2` (two threads), or `gpu, TF32 off`: which of several GPUs it was is not kept. */
  device: z.string(),
  node: z.string(),
  /** Of the engine's library: `{ tensorflow: '2.21.0' }`. */
  versions: z.record(z.string(), z.string()),
});

/** What a member was trained with from an epoch on. */
export type TrainedWith = z.infer<typeof environmentSchema>;

const configSchema = z.looseObject({
  member: z.looseObject({ device: z.string() }),
  /** Description of the engine that trained last, such as `TensorFlow 2.21.0 on CPU:0`. */
  engine: z.string(),
  node: z.string(),
  pretrained: z.unknown().optional(),
  training: z.looseObject({ accumulate: z.int().positive().optional() }).optional(),
  /** Absent in runs of earlier versions. */
  history: z.array(environmentSchema).optional(),
});

/** The fields of a member's config.json that are read back. */
export type ConfigRecord = z.infer<typeof configSchema>;

/** One prepared scan, as scans.msgpack and dataset.json list it. */
export const scanSchema = z.looseObject({
  key: z.string().min(1),
  label: z.int().nonnegative().nullable(),
  split: z.enum(['train', 'val', 'test']),
  name: z.string().min(1),
  volume: z.string().nullable(),
  failure: z.string().nullable(),
  slices: z.int().nonnegative(),
  kept: z.int().nonnegative(),
  fold: z.int().positive().nullable().optional(),
});

const scansSchema = z
  .array(
    z.object({
      members: z.array(z.string()),
      scans: z.array(scanSchema),
      folds: z.record(z.string(), z.int().positive()).optional(),
    }),
  )
  .min(1);

/** A member's done.json; undefined if the member is not done. @throws {UserError} if the file is no such record. */
export const readDone = (run: string, member: string): Promise<DoneRecord | undefined> =>
  readRecord(doneFile(run, member), {
    schema: doneSchema,
    remedy: 'delete it and train again: the member then continues from its last checkpoint',
  });

/** What a member's config.json says of its earlier parts; undefined if there is none. @throws {UserError} if it is damaged. */
export const readConfig = (run: string, member: string): Promise<ConfigRecord | undefined> =>
  readRecord(configFile(run, member), {
    schema: configSchema,
    remedy: 'delete it and train again; what the earlier epochs were trained with is then no longer known',
  });

/**
 * The scans of all members with the volumes that they see, as the plan's digest covers them.
 * @throws {UserError} if scans.msgpack is missing or damaged.
 */
export async function readAllScans(run: string): Promise<MemberScans[]> {
  const file = scansFile(run);
  let content: unknown;
  try {
    content = unpack(await readRegularFile(file, { maxBytes: MAX_BYTES.record }));
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (codeOf(error) === undefined || codeOf(error) === 'ENOENT')
      throw new UserError(`the list of the run's scans cannot be read (${messageOf(error)})`, {
        file,
        remedy: scansRemedy,
        cause: error,
      });
    throw asUserError(error, file);
  }
  return fitting(content, { file, schema: scansSchema as z.ZodType<MemberScans[]>, remedy: scansRemedy });
}

const scansRemedy = 'start the training of this run again, which writes the file anew';

/**
 * The scans with the volumes that the member sees; for a member of a fold, in the splits that it is trained with.
 * @throws {UserError} if scans.msgpack is missing or damaged, or has no scans of the member.
 */
export async function readScans(run: string, member: string): Promise<StoredScan[]> {
  return scansOf(await readAllScans(run), { run, member });
}

/** The member's of all scans, as `readScans` returns them. @throws {UserError} if there are none. */
export function scansOf(
  all: readonly MemberScans[],
  { run, member }: { run: string; member: string },
): StoredScan[] {
  const own = all.find(({ members }) => members.includes(member));
  if (own === undefined) throw unfit(scansFile(run), `has no scans of the member ${member}`, scansRemedy);
  const fold = own.folds?.[member];
  return fold === undefined ? own.scans : scansOfFold(own.scans, fold);
}

/** What an engine with this description trains with; `device` as in `--devices`. */
export function trainedWith(
  { engine, device, node }: { engine: string; device: string; node: string },
  { epoch, step = 0 }: { epoch: number; step?: number },
): TrainedWith {
  const [, library = 'tfjs', version = 'unknown'] = /^(TensorFlow|tfjs) (\S+)/.exec(engine) ?? [];
  return {
    fromEpoch: epoch,
    ...(step > 0 && { fromStep: step }),
    engine: library === 'TensorFlow' ? 'tensorflow' : 'cpu',
    device: device.startsWith('gpu') ? engine.replace(/^.* on GPU:\d+(?: \(.*?\))?/, 'gpu') : device,
    node,
    versions: { [library.toLowerCase()]: version },
  };
}

/** What the epochs before were trained with, by a member's config.json; earlier versions wrote only the last start. */
export const historyOf = ({ history, member, engine, node }: ConfigRecord): TrainedWith[] =>
  history ?? [trainedWith({ engine, device: member.device, node }, { epoch: 0 })];

/**
 * The history with what the member is trained with from `now` on. Entries of steps that are trained again are
 * dropped, and nothing is added if the member continues as before, so that a run that was only interrupted has the history
 * of one that was not.
 */
export function continuedHistory(history: readonly TrainedWith[], now: TrainedWith): TrainedWith[] {
  const kept = history.filter((entry) => isBefore(entry, now));
  const last = kept.at(-1);
  return last !== undefined && changesOf(last, now).length === 0 ? kept : [...kept, now];
}

/** Whether an entry of the history begins at an earlier step than another. */
export const isBefore = (a: TrainedWith, b: TrainedWith) =>
  a.fromEpoch < b.fromEpoch || (a.fromEpoch === b.fromEpoch && (a.fromStep ?? 0) < (b.fromStep ?? 0));

/** What differs, such as `device cpu:1, now cpu:2`. */
export function changesOf(before: TrainedWith, now: TrainedWith): string[] {
  const flat = ({ engine, device, node, versions }: TrainedWith): Record<string, string> => ({
    engine,
    device,
    node,
    ...versions,
  });
  const [old, fresh] = [flat(before), flat(now)];
  const names = [...new Set([...Object.keys(old), ...Object.keys(fresh)])];
  // The libraries of another engine differ in any case.
  const compared = before.engine === now.engine ? names : ['engine', 'device', 'node'];
  return compared
    .filter((name) => old[name] !== fresh[name])
    .map((name) => `${name} ${old[name] ?? 'none'}, now ${fresh[name] ?? 'none'}`);
}
