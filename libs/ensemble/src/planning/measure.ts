// Measures a short training of a member on random volumes. Runs in a process of its own: peak memory belongs to the process.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StoredScan, VolumeStore } from '@ct-ensemble/data';
import { type Device, openEngine } from '@ct-ensemble/engine';
import { buildModel, type Model } from '@ct-ensemble/models';
import { predictionStep, type Progress, trainMember } from '@ct-ensemble/training';
import { z } from 'zod';
import { engineOptionsOf } from '../recipes/engine-settings.ts';
import type { ProbeSettings } from './probe-settings.ts';

export const probeResult = z.object({
  /** Seconds of one optimizer step, without waiting for its volumes. */
  stepSeconds: z.number(),
  /** Seconds in which one batch is predicted. */
  predictionSeconds: z.number(),
  /** Seconds from the start of the process to the end of the first step, beyond those of a later step. */
  startSeconds: z.number(),
  /** Seconds of an epoch beside its steps and predictions: checkpoints above all. */
  epochSeconds: z.number(),
  /** Peak memory on the device: of a CPU the resident memory of the process; null if a GPU's cannot be read. */
  memoryBytes: z.number().nullable(),
  /** Sizes of the checkpoints: the last one has the optimizer's state too. */
  lastBytes: z.number(),
  bestBytes: z.number(),
  parameters: z.number(),
});
export type ProbeResult = z.infer<typeof probeResult>;

/** Steps of the first measurement; the first step records and optimizes the graph and is not counted. */
const STEPS = 4;
/** Where steps are shorter than this many seconds, a second measurement takes about `SECONDS`. */
const SHORT_STEP = 0.3;
const SECONDS = 4;
const MOST_STEPS = 60;
/** Batches of each validation; the first one records the graph. */
const PREDICTIONS = 2;

/** Builds the network, trains it for some steps on random volumes, validates it and writes its checkpoints. */
export async function measureMember(settings: ProbeSettings): Promise<ProbeResult> {
  const { architecture, views, classes, device, engine: kind } = settings;
  const memoryBefore = device.kind === 'gpu' ? gpuMemory(device) : null;
  const engine = await openEngine({ engine: kind, ...engineOptionsOf(device, settings.engineSettings) });
  try {
    const model = buildModel(architecture, { views, classes, seed: 1 });
    let measured = await measureEpoch(settings, { model, steps: STEPS });
    const startSeconds = Math.max(0, measured.firstStepEnded - measured.step);
    if (measured.step < SHORT_STEP) {
      const steps = Math.min(MOST_STEPS, Math.max(STEPS, Math.ceil(SECONDS / measured.step)));
      measured = await measureEpoch(settings, { model, steps });
    }
    const memoryAfter = device.kind === 'gpu' ? gpuMemory(device) : null;
    const resident = process.resourceUsage().maxRSS * 1024;
    const onGpu = memoryBefore === null || memoryAfter === null ? null : memoryAfter - memoryBefore;
    return {
      stepSeconds: measured.step,
      predictionSeconds: measured.prediction,
      startSeconds,
      epochSeconds: measured.rest,
      memoryBytes: device.kind === 'gpu' ? onGpu : resident,
      lastBytes: measured.lastBytes,
      bestBytes: measured.bestBytes,
      parameters: model.parameters.trainable().reduce((sum, { variable }) => sum + variable.size, 0),
    };
  } finally {
    engine.close();
  }
}

async function measureEpoch(settings: ProbeSettings, { model, steps }: { model: Model; steps: number }) {
  const { training, classes, architecture } = settings;
  const { batchSize, precision = 'float32' } = training;
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-probe-'));
  const predict = predictionStep(model, { precision });
  const predictions: number[] = [];
  const timed = Object.assign(async (...args: Parameters<typeof predict>) => {
    const started = performance.now();
    const outputs = await predict(...args);
    predictions.push((performance.now() - started) / 1000);
    return outputs;
  }, predict);
  const progress: (Progress & { at: number })[] = [];
  const trained = Math.max(steps, Math.ceil(classes / batchSize)) * batchSize;
  try {
    await trainMember({
      model,
      member: 'probe',
      folder,
      seed: 1,
      classes,
      // Random volumes teach nothing: a rate this small keeps the weights finite.
      training: { ...training, epochs: 1, learningRate: [{ from: 0, rate: 1e-9 }] },
      predict: timed,
      about: { architecture },
      train: scans('train', { count: trained, classes }),
      val: scans('val', { count: PREDICTIONS * batchSize, classes }),
      store: randomVolumes(settings),
      score: () => 0,
      onProgress: (now) => progress.push({ ...now, at: performance.now() }),
      onWarning: () => undefined,
    });
    const stepTimes = progress.flatMap(({ kind, seconds }) => (kind === 'step' ? [seconds] : []));
    const epoch = progress.find(({ kind }) => kind === 'epoch')!.seconds;
    const size = async (name: string) =>
      (await stat(join(folder, 'checkpoints', `${name}.safetensors`))).size;
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    return {
      step: median(stepTimes.slice(1)),
      prediction: median(predictions.slice(1)),
      rest: Math.max(0, epoch - sum(stepTimes) - sum(predictions)),
      firstStepEnded: progress[0]!.at / 1000,
      lastBytes: await size('last'),
      bestBytes: await size('best'),
    };
  } finally {
    predict.dispose();
    await rm(folder, { recursive: true, force: true });
  }
}

function scans(split: 'train' | 'val', { count, classes }: { count: number; classes: number }): StoredScan[] {
  return Array.from({ length: count }, (_, i) => ({
    key: `${split}/${i}`,
    label: i % classes,
    split,
    name: String(i),
    volume: `${split}-${i}`,
    failure: null,
    slices: 1,
    kept: 1,
  }));
}

/** A store whose volumes are all the same random bytes: where they come from takes no time and hardly any memory. */
function randomVolumes({ views, height, width }: ProbeSettings): Pick<VolumeStore, 'read'> {
  const depth = views.reduce((sum, slices) => sum + slices, 0);
  const data = new Uint8Array(randomBytes(depth * height * width));
  return { read: async () => ({ depth, height, width, data }) };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle - 1)]!) / 2;
}

/** Bytes of the GPU's memory in use, as nvidia-smi says; null without it. TensorFlow returns none before the process ends. */
function gpuMemory({ index }: Device): number | null {
  const id = process.env['CUDA_VISIBLE_DEVICES']?.split(',')[index]?.trim() ?? String(index);
  const { status, stdout } = spawnSync(
    'nvidia-smi',
    ['--query-gpu=memory.used', '--format=csv,noheader,nounits', '-i', id],
    { encoding: 'utf8', timeout: 20_000 },
  );
  const mebibytes = status === 0 ? Number(stdout.trim() || Number.NaN) : Number.NaN;
  return Number.isFinite(mebibytes) ? mebibytes * 2 ** 20 : null;
}
