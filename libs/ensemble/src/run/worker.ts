// The work of one member: its own engine on its own device, trained, then asked about every scan. It runs in a thread or a process.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { asUserError, fenced, messageOf, sha256OfFile, UserError, writeJson } from '@ct-ensemble/core';
import { openVolumeStore, type StoredScan } from '@ct-ensemble/data';
import { EngineError, isOutOfMemory, openEngine, precisionOf } from '@ct-ensemble/engine';
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
  meanOfRows,
  predictionStep,
  predictScans,
  requireBest,
  StoppedError,
  trainMember,
} from '@ct-ensemble/training';
import { engineOptionsOf } from '../recipes/engine-settings.ts';
import { answerScores } from '@ct-ensemble/evaluation';
import { asProbabilities, PREDICTED_SPLITS, type PredictedSplit } from './member-probabilities.ts';
import { MemberFailure, type MemberLink, type MemberResult, type MemberTask } from './ports/port.ts';
import { drawnScans } from './slice-draws.ts';
import { augmentationName } from './test-time-augmentation.ts';
import { writeProbabilities } from '../results/probabilities.ts';
import {
  augmentedFile,
  configFile,
  doneFile,
  failedFile,
  memberFolder,
  probabilitiesFile,
} from '../run-folder.ts';
import {
  changesOf,
  type ConfigRecord,
  continuedHistory,
  historyOf,
  isBefore,
  readConfig,
  readDone,
  readScans,
  trainedWith,
  type TrainedWith,
} from '../run-records.ts';

export default async function workOnMember(task: MemberTask, link: MemberLink): Promise<MemberResult> {
  const { run, plan, member, device } = task;
  const stop = () => link.stop();
  const { engine: settings } = plan.recipe;
  const training = { ...plan.recipe.training, ...(member.accumulate && { accumulate: member.accumulate }) };
  const engine = await openEngine({ engine: plan.engine, ...engineOptionsOf(device, settings) });
  try {
    const folder = memberFolder(run, member.name);
    const isBegun = existsSync(lastCheckpoint(folder));
    const precision = training.precision ?? 'float32';
    await fenced.rm(failedFile(run, member.name));
    const classes = plan.dataset.classes.length;
    const views = member.views.map(({ depth }) => depth);
    const { sampling, secondView } = plan.recipe.volume;
    const isMultiple = views.every((depth) => views[0]! % depth === 0);
    const showsSlicesTwice = sampling === 'nearest' && secondView === 'shared' && isMultiple;
    const model = buildModel(member.architecture, { views, classes, seed: member.seed });
    const predict = predictionStep(model, { precision });
    const scans = await readScans(run, member.name);
    const ask = (splits: readonly PredictedSplit[], epoch: number, augmented?: MemberTask['augmented']) =>
      writeSplits(task, { predict, scans, splits, epoch, augmented, stop });
    if (task.splits !== undefined || task.augmented !== undefined) {
      link.predicting();
      const { bestEpoch, macroF1 } = await loadBest(task, model);
      await ask(task.splits ?? [], bestEpoch - 1);
      if (task.augmented) await ask(task.augmented.splits, bestEpoch - 1, task.augmented);
      predict.dispose();
      return { status: 'done', macroF1 };
    }
    requireContinuable(task);
    const before = isBegun ? await readConfig(run, member.name) : undefined;
    const pretrained = member.pretrained ? await startFromPublished(task, { model, before }) : undefined;
    const now = (from: { epoch: number; step?: number }) =>
      trainedWith({ engine: engine.description, device: task.deviceName, node: process.version }, from);
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
    let configWritten = writeConfig(isBegun ? earlier : [now({ epoch: 0 })]);
    await configWritten;
    /** The checkpoint says from which epoch and step on this engine trains the member. */
    const onResume = ({ epoch, step }: { epoch: number; step: number }) => {
      const resumed = now({ epoch, step });
      const history = continuedHistory(earlier, resumed);
      configWritten = writeConfig(history);
      configWritten.catch(() => {}); // Awaited when the training has ended.
      const last = earlier.findLast((entry) => isBefore(entry, resumed));
      const changes = last === undefined ? [] : changesOf(last, resumed);
      if (changes.length > 0)
        link.note(
          `from epoch ${epoch + 1}${step > 0 ? `, step ${step + 1}` : ''} on trained otherwise than before: ${changes.join('; ')}. ` +
            'Its files are no longer byte for byte those of an uninterrupted run.',
        );
    };
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
        if (progress.kind === 'resumed') onResume(progress);
        link.progress(progress);
      },
      onWarning: (message) => link.note(message),
      ...(task.checkpointSeconds !== undefined && { checkpointSeconds: task.checkpointSeconds }),
      stop,
    });
    link.predicting();
    await configWritten;
    const best = { bestEpoch: state.best!.epoch + 1, sha256: state.best!.sha256 };
    // Probabilities with test-time augmentation that an earlier, shorter training left are of other weights.
    for (const split of PREDICTED_SPLITS) await fenced.rm(augmentedFile(run, member.name, split));
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
    throw failureOf(error);
  } finally {
    engine.close();
  }
}

/** Errors of the engine that another attempt may not meet; others come again: not-finite, library-missing, … */
const passing: readonly string[] = ['tensorflow', 'device', 'stopped'];

function failureOf(error: unknown): unknown {
  const isArray = error instanceof RangeError && /allocation failed/.test(error.message);
  const isLasting = error instanceof EngineError && !passing.includes(error.code);
  const kind = isArray || isOutOfMemory(error) ? 'out-of-memory' : isLasting ? 'user' : undefined;
  return kind ? new MemberFailure(messageOf(error), { kind, cause: error }) : asUserError(error);
}

const usable = (scans: readonly StoredScan[], split: StoredScan['split']) =>
  scans.filter((scan) => scan.split === split && scan.volume !== null);

/** Predicts the scans of these splits and writes the member's files of probabilities. */
async function writeSplits(
  { run, plan, member, store }: MemberTask,
  {
    predict,
    scans,
    splits,
    epoch,
    augmented,
    stop,
  }: {
    predict: ReturnType<typeof predictionStep>;
    /** All scans of the member. */
    scans: readonly StoredScan[];
    splits: readonly PredictedSplit[];
    /** Epoch of the weights; counts from 0. */
    epoch: number;
    /** Write the files with this test-time augmentation instead. */
    augmented: MemberTask['augmented'];
    stop: () => boolean;
  },
) {
  const { classes } = plan.dataset;
  for (const split of splits) {
    const predictions: number[][][] = [];
    const { by, volumes } = augmented ?? { by: { draws: 1 }, volumes: {} };
    for (const drawn of drawnScans(usable(scans, split), { draws: by.draws, volumes }))
      predictions.push(
        await predictScans({
          step: predict,
          scans: drawn,
          store: openVolumeStore(store),
          batchSize: plan.recipe.training.batchSize,
          epoch,
          flips: augmented?.by.flips,
          stop,
        }),
      );
    const fileOf = augmented === undefined ? probabilitiesFile : augmentedFile;
    await writeProbabilities(fileOf(run, member.name, split), {
      ...asProbabilities(meanOfRows(predictions), { split, scans, classes }),
      ...(augmented && { augmentation: augmentationName(augmented.by) }),
    });
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
