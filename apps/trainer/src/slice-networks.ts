// The commands filter and segmenter: the two networks that the preparation asks about slices, from labelled slices to weights.
import { existsSync } from 'node:fs';
import { sha256OfFile } from '@ct-ensemble/core';
import {
  holdOut,
  readLabelledSlices,
  readMaskedSlices,
  type SliceSample,
  type SliceSamples,
} from '@ct-ensemble/data';
import { type EngineKind, installTensorFlow, openEngine } from '@ct-ensemble/engine';
import { claimRun, parseDevices, requirePublished, thisMachine } from '@ct-ensemble/ensemble';
import { pretrainedFile } from '@ct-ensemble/models';
import {
  lastCheckpoint,
  lungSegmenter,
  requireSliceNetwork,
  type SliceEpoch,
  sliceFilter,
  type SliceTask,
  StoppedError,
  trainingFolder,
  trainSliceNetwork,
} from '@ct-ensemble/training';
import { stopOnSignal } from './terminal.ts';

interface SliceNetworkOptions {
  data: string;
  out: string;
  architecture: string;
  size: number;
  epochs: number;
  batch: number;
  learningRate?: number;
  seed: number;
  /** Share of the patients that are held out. */
  holdOut: number;
  /** Those that are held out, instead. */
  val?: string[];
  device: string;
  engine: EngineKind;
  json?: boolean;
}

export interface FilterOptions extends SliceNetworkOptions {
  labels?: string;
  fileColumns?: string[];
  classColumn?: string;
  fromScratch?: boolean;
}

export type SegmenterOptions = SliceNetworkOptions;

/** The rate of Adam where none is given: published weights are only tuned. */
const RATES = { published: 1e-4, scratch: 1e-3 };

/** Runs the command; returns the exit code: 0 done, 130 stopped. */
export async function filter(options: FilterOptions): Promise<number> {
  const { data, size: edge, labels, fileColumns, classColumn, architecture, fromScratch } = options;
  const pretrained = fromScratch ? undefined : pretrainedFile(architecture);
  const begun = existsSync(lastCheckpoint(trainingFolder(options.out)));
  if (pretrained !== undefined && !begun) requirePublished(architecture);
  const read = () =>
    readLabelledSlices({
      data,
      edge,
      ...(labels !== undefined && { labels }),
      ...(fileColumns !== undefined && { fileColumns }),
      ...(classColumn !== undefined && { classColumn }),
    });
  return trained(sliceFilter, { ...options, ...(pretrained !== undefined && { pretrained }) }, read);
}

/** Runs the command; returns the exit code: 0 done, 130 stopped. */
export async function segmenter(options: SegmenterOptions): Promise<number> {
  return trained(lungSegmenter, options, () => readMaskedSlices(options.data, options.size));
}

async function trained(
  task: SliceTask,
  options: SliceNetworkOptions & { pretrained?: string },
  read: () => Promise<SliceSamples>,
): Promise<number> {
  const { out, architecture, size: edge, seed, json, pretrained } = options;
  requireSliceNetwork(task, architecture, edge);
  const [device] = parseDevices(options.device, 1, thisMachine(options.engine));
  const say = (line: string) => void (json || console.log(line));
  if (options.engine === 'tensorflow') await installTensorFlow({ log: json ? () => {} : console.log });
  const stopping = stopOnSignal();
  const claim = await claimRun(trainingFolder(out));
  const engine = await openEngine({ engine: options.engine, device: device! });
  try {
    const { samples, leftOut, findings } = await read();
    const { train, val } = holdOut(samples, {
      seed,
      share: options.holdOut,
      ...(options.val && { groups: options.val }),
    });
    const groups = { train: groupsOf(train), val: groupsOf(val) };
    for (const { kind, path, message } of findings) say(`${kind}: ${path}: ${message}`);
    for (const [why, count] of Object.entries(leftOut)) say(`left out: ${count} slices of ${why}`);
    say(
      `slices of ${edge}×${edge}: ${train.length} of ${groups.train.length} patients to train on, ${val.length} of ${groups.val.length} held out`,
    );
    say(`${architecture} from ${pretrained ?? 'scratch'} on ${engine.description}`);
    const { best, history } = await trainSliceNetwork({
      task,
      architecture,
      edge,
      epochs: options.epochs,
      batchSize: options.batch,
      learningRate: options.learningRate ?? RATES[pretrained === undefined ? 'scratch' : 'published'],
      seed,
      ...(pretrained !== undefined && { pretrained }),
      train,
      val,
      out,
      onEpoch: (record, { epochs, resumed }) =>
        say(
          `${resumed ? 'resumed after ' : ''}epoch ${record.epoch + 1}/${epochs}, loss ${record.loss.toFixed(4)}, ${inWords(record)}, ${record.seconds.toFixed(1)} s`,
        ),
      stop: () => stopping.signal.aborted,
    });
    const slices = { train: train.length, val: val.length };
    if (json) {
      const about = { kind: task.kind, architecture, size: edge, out, sha256: await sha256OfFile(out) };
      console.log(
        JSON.stringify({ ...about, slices, groups, leftOut, findings, best, history }, undefined, 1),
      );
    }
    say(`best epoch ${best.epoch + 1}, ${inWords(best)}: ${out}`);
    return 0;
  } catch (error) {
    if (!(error instanceof StoppedError)) throw error;
    console.error('Stopped. The same command continues.');
    return 130;
  } finally {
    engine.close();
    await claim.release();
    stopping.release();
  }
}

const groupsOf = (samples: readonly SliceSample[]) => Array.from(new Set(samples.map(({ group }) => group)));

function inWords({ scores }: SliceEpoch): string {
  return Object.entries(scores)
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ');
}
