// One member in one worker thread: its own engine on its own device, trained, then asked about every scan.
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { MessagePort } from 'node:worker_threads';
import { asUserError, sha256OfFile, UserError, writeJson } from '@ct-ensemble/core';
import { openVolumeStore, type StoredScan } from '@ct-ensemble/data';
import { type Device, openEngine, precisionOf } from '@ct-ensemble/engine';
import {
  buildModel,
  describing,
  loadPretrained,
  loadWeights,
  type Model,
  pretrainedFile,
} from '@ct-ensemble/models';
import {
  lastCheckpoint,
  predictionStep,
  predictScans,
  type Progress,
  requireBest,
  StoppedError,
  trainMember,
} from '@ct-ensemble/training';
import * as Comlink from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { engineOptionsOf } from '../recipes/engine-settings.ts';
import { answerScores } from '@ct-ensemble/evaluation';
import { asProbabilities, PREDICTED_SPLITS, type PredictedSplit } from './member-probabilities.ts';
import type { MemberPlan, Plan } from './plan.ts';
import { writeProbabilities } from '../results/probabilities.ts';
import { configFile, doneFile, failedFile, memberFolder, probabilitiesFile } from '../run-folder.ts';
import {
  changesOf,
  type ConfigRecord,
  continuedHistory,
  historyOf,
  readConfig,
  readDone,
  readScans,
  trainedWith,
  type TrainedWith,
} from '../run-records.ts';

/** What the coordinator hands to a worker. */
export interface MemberTask {
  run: string;
  plan: Plan;
  member: MemberPlan;
  device: Device;
  /** The device as a person writes it. */
  deviceName: string;
  /** Folder of the volume store. */
  store: string;
  /** The member is trained, and its probabilities for these splits are to be made; absent: it is to be trained. */
  splits?: readonly PredictedSplit[];
  /** Where the worker calls the coordinator's observer. */
  progress: MessagePort;
  /** Where the coordinator calls the worker's control. */
  control: MessagePort;
}

export interface MemberObserver {
  progress(progress: Progress): void;
  /** Something that the user should know of, which does not stop the member. */
  note(note: string): void;
}

export interface MemberControl {
  stop(): void;
}

/** How a member's task ended. Errors are thrown. */
export interface MemberResult {
  status: 'done' | 'stopped';
  /** Macro F1 of the best epoch on the validation scans. */
  macroF1: number | null;
}

export default async function trainInWorker(task: MemberTask): Promise<MemberResult> {
  const { run, plan, member, device } = task;
  const observer = Comlink.wrap<MemberObserver>(nodeEndpoint(task.progress));
  let stopped = false;
  Comlink.expose({ stop: () => void (stopped = true) } satisfies MemberControl, nodeEndpoint(task.control));
  const stop = () => stopped;
  const { engine: settings, training } = plan.recipe;
  const engine = await openEngine({ engine: plan.engine, ...engineOptionsOf(device, settings) });
  try {
    const folder = memberFolder(run, member.name);
    const isBegun = existsSync(lastCheckpoint(folder));
    const precision = training.precision ?? 'float32';
    await rm(failedFile(run, member.name), { force: true });
    const classes = plan.dataset.classes.length;
    const views = member.views.map(({ depth }) => depth);
    const { sampling, secondView } = plan.recipe.volume;
    const isMultiple = views.every((depth) => views[0]! % depth === 0);
    const showsSlicesTwice = sampling === 'nearest' && secondView === 'shared' && isMultiple;
    const model = buildModel(member.architecture, { views, classes, seed: member.seed });
    const predict = predictionStep(model, { precision });
    const ask = (splits: readonly PredictedSplit[], epoch: number) =>
      writeSplits(task, { predict, splits, epoch, stop });
    if (task.splits !== undefined) {
      const { bestEpoch, macroF1 } = await loadBest(task, model);
      await ask(task.splits, bestEpoch - 1);
      predict.dispose();
      return { status: 'done', macroF1 };
    }
    requireContinuable(task);
    const before = isBegun ? await readConfig(run, member.name) : undefined;
    const pretrained = member.pretrained ? await startFromPublished(task, { model, before }) : undefined;
    const now = (fromEpoch: number) =>
      trainedWith({ engine: engine.description, device: task.deviceName, node: process.version }, fromEpoch);
    const config = {
      member: { ...member, device: task.deviceName },
      engine: engine.description,
      engineSettings: settings ?? {},
      engineNotes: engine.notes,
      precision: { asked: precision, ...precisionOf(precision) },
      node: process.version,
      classes: plan.dataset.classes,
      training,
      pretrained,
    };
    const writeConfig = (history: readonly TrainedWith[]) =>
      writeJson(configFile(run, member.name), { ...config, history });
    const earlier = before === undefined ? [] : historyOf(before);
    let configWritten = writeConfig(isBegun ? earlier : [now(0)]);
    await configWritten;
    /** The checkpoint says from which epoch on this engine trains the member. */
    const onResume = (epochs: number) => {
      const history = continuedHistory(earlier, now(epochs));
      configWritten = writeConfig(history);
      configWritten.catch(() => {}); // Awaited when the training has ended.
      const last = earlier.findLast(({ fromEpoch }) => fromEpoch < epochs);
      const changes = last === undefined ? [] : changesOf(last, now(epochs));
      if (changes.length > 0)
        void observer.note(
          `from epoch ${epochs + 1} on trained otherwise than before: ${changes.join('; ')}. ` +
            'Its files are no longer byte for byte those of an uninterrupted run.',
        );
    };
    const scans = await readScans(run, member.name);
    const store = openVolumeStore(task.store);
    const state = await trainMember({
      model,
      member: member.name,
      folder,
      seed: member.seed,
      classes,
      training,
      about: describing({
        architecture: member.architecture,
        views,
        classes: plan.dataset.classes,
        size: [member.views[0]!.height, member.views[0]!.width],
        recipe: plan.recipe.name,
      }),
      predict,
      ...(showsSlicesTwice && { views }),
      train: usable(scans, 'train'),
      val: usable(scans, 'val').filter(({ label }) => label !== null),
      store,
      score: (truth, predicted) => answerScores(truth, predicted, classes).macroF1,
      onProgress(progress) {
        if (progress.kind === 'resumed') onResume(progress.epoch);
        void observer.progress(progress);
      },
      onWarning: (message) => void observer.note(message),
      stop,
    });
    await configWritten;
    const best = { bestEpoch: state.best!.epoch + 1, sha256: state.best!.sha256 };
    await ask(PREDICTED_SPLITS, state.best!.epoch);
    predict.dispose();
    const { macroF1 } = state.best!;
    await requireBest(folder, best);
    await writeJson(doneFile(run, member.name), {
      epochs: state.epochs,
      bestEpoch: best.bestEpoch,
      macroF1,
      weights: join('checkpoints', 'best.safetensors'),
      sha256: best.sha256,
    });
    return { status: 'done', macroF1 };
  } catch (error) {
    if (error instanceof StoppedError) return { status: 'stopped', macroF1: null };
    throw asUserError(error);
  } finally {
    engine.close();
    task.progress.close();
    task.control.close();
  }
}

const usable = (scans: readonly StoredScan[], split: StoredScan['split']) =>
  scans.filter((scan) => scan.split === split && scan.volume !== null);

/** Predicts the scans of these splits and writes the member's files of probabilities. */
async function writeSplits(
  { run, plan, member, store }: MemberTask,
  {
    predict,
    splits,
    epoch,
    stop,
  }: {
    predict: ReturnType<typeof predictionStep>;
    splits: readonly PredictedSplit[];
    /** Epoch of the weights; counts from 0. */
    epoch: number;
    stop: () => boolean;
  },
) {
  const scans = await readScans(run, member.name);
  const { classes } = plan.dataset;
  for (const split of splits) {
    const rows = await predictScans({
      step: predict,
      scans: usable(scans, split),
      store: openVolumeStore(store),
      batchSize: plan.recipe.training.batchSize,
      epoch,
      stop,
    });
    const probabilities = asProbabilities(rows, { split, scans, classes });
    await writeProbabilities(probabilitiesFile(run, member.name, split), probabilities);
  }
}

/**
 * Loads the weights of a trained member into the model, and returns what its done.json says of them.
 * @throws {UserError} if the weights are missing or not those that done.json names.
 */
async function loadBest({ run, member }: MemberTask, { parameters }: Model) {
  const done = (await readDone(run, member.name))!;
  const { file } = await requireBest(memberFolder(run, member.name), done);
  await loadWeights(parameters, file);
  return { bestEpoch: done.bestEpoch!, macroF1: done.macroF1 };
}

/** @throws {UserError} if a member that is done is to be trained on, and its last checkpoint is missing. */
function requireContinuable({ run, member }: MemberTask) {
  const file = lastCheckpoint(memberFolder(run, member.name));
  if (!existsSync(doneFile(run, member.name)) || existsSync(file)) return;
  throw new UserError('is missing: a member that is done is trained on from this checkpoint', {
    file,
    remedy:
      'restore the file, set training.epochs back, or delete the folder of the member to train it again',
  });
}

/** What the member started from, for its config.json; for a member that resumes, what its config.json already says. */
async function startFromPublished(
  { run, member }: MemberTask,
  { model, before }: { model: Model; before: ConfigRecord | undefined },
): Promise<unknown> {
  if (existsSync(lastCheckpoint(memberFolder(run, member.name)))) return before?.pretrained;
  const file = pretrainedFile(member.architecture)!;
  const { adapted, fresh, skipped } = await loadPretrained(model, file);
  return { file, sha256: await sha256OfFile(file), adapted, fresh, skipped };
}
