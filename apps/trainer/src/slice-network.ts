// What the commands filter and segmenter share: options, training from labelled slices to weights, output.
import { dirname } from 'node:path';
import { print, sha256OfFile, sweepTemporaryFiles } from '@ct-ensemble/core';
import { holdOut, type SliceSample, type SliceSamples } from '@ct-ensemble/data';
import { type EngineKind, installTensorFlow, openEngine } from '@ct-ensemble/engine';
import { parseDevices, thisMachine } from '@ct-ensemble/ensemble';
import {
  requireSliceNetwork,
  sliceArchitectures,
  type SliceEpoch,
  type SliceTask,
  trainingFolder,
  trainSliceNetwork,
} from '@ct-ensemble/training';
import { type Command, Option } from 'commander';
import { type ClaimedWork, claimedWork } from './claimed-work.ts';
import {
  count,
  deviceOption,
  engineOption,
  names,
  positive,
  share,
  weightsFile,
  wholeNumber,
} from './options.ts';

export interface SliceNetworkOptions {
  data: string;
  out: string;
  architecture: string;
  size: number;
  epochs: number;
  batch: number;
  learningRate?: number;
  seed: number;
  /** Share of the patients that is held out, between 0 and 1. */
  holdOut: number;
  /** Patients that are held out instead. */
  val?: string[];
  device: string;
  engine: EngineKind;
  json?: boolean;
}

interface Defaults {
  architecture: string;
  epochs: number;
  batch: number;
}

/** Adds the options that both networks take. */
export function addSliceNetworkOptions(command: Command, task: SliceTask, defaults: Defaults): Command {
  return command
    .requiredOption('--out <file>', 'file of the trained weights, .safetensors', weightsFile)
    .addOption(
      new Option('--architecture <name>', 'architecture of the network')
        .choices(sliceArchitectures(task))
        .default(defaults.architecture),
    )
    .option('--size <px>', 'height and width that slices are resized to, in pixels', count, 224)
    .option('--epochs <n>', 'number of epochs', count, defaults.epochs)
    .option('--batch <n>', 'number of slices in a mini-batch', count, defaults.batch)
    .option(
      '--learning-rate <rate>',
      'learning rate of Adam (default: 0.001, or 0.0001 when training starts from published weights)',
      positive,
    )
    .option(
      '--seed <n>',
      'seed of the initial weights, the held-out patients, the order of slices and the augmentation',
      wholeNumber,
      0,
    )
    .option(
      '--hold-out <share>',
      'share of the patients that is held out for validation, drawn at random with the seed',
      share,
      0.2,
    )
    .option('--val <names>', 'names of the patients that are held out instead, separated by commas', names)
    .addOption(deviceOption())
    .addOption(engineOption())
    .option('--json', 'print nothing but a report as JSON: slices, and scores of each epoch');
}

/** Adam's learning rate when none is given: smaller when published weights are fine-tuned. */
const RATES = { published: 1e-4, scratch: 1e-3 };

/** Trains the network on the slices that `read` returns. Returns the exit code: 0 if it is done, 130 if it was stopped. */
export async function runSliceNetwork(
  task: SliceTask,
  options: SliceNetworkOptions & { pretrained?: string },
  read: () => Promise<SliceSamples>,
): Promise<number> {
  const { out, architecture, size: edge, seed, json, pretrained } = options;
  requireSliceNetwork(task, architecture, edge);
  const [device] = parseDevices(options.device, 1, thisMachine(options.engine));
  const say = (line: string) => void (json || print(line));
  if (options.engine === 'tensorflow') await installTensorFlow({ log: json ? () => {} : print });
  const work = async ({ signal }: ClaimedWork) => {
    await sweepTemporaryFiles(dirname(out));
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
      for (const [why, count] of Object.entries(leftOut)) say(`left out: ${count} slices (${why})`);
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
        onEpoch: (record, { epochs, resumed, seconds }) =>
          say(
            `${resumed ? 'resumed after ' : ''}epoch ${record.epoch + 1}/${epochs}, loss ${record.loss.toFixed(4)}, ${scoresText(record)}${seconds === null ? '' : `, ${seconds.toFixed(1)} s`}`,
          ),
        stop: () => signal.aborted,
      });
      const slices = { train: train.length, val: val.length };
      if (json) {
        const about = { kind: task.kind, architecture, size: edge, out, sha256: await sha256OfFile(out) };
        print(JSON.stringify({ ...about, slices, groups, leftOut, findings, best, history }, undefined, 1));
      }
      say(`best epoch ${best.epoch + 1}, ${scoresText(best)}: ${out}`);
      return 0;
    } finally {
      engine.close();
    }
  };
  return claimedWork(trainingFolder(out), work, {
    remedy: 'wait for it, stop it, or name another file with --out',
    say: console.error,
  });
}

const groupsOf = (samples: readonly SliceSample[]) => Array.from(new Set(samples.map(({ group }) => group)));

function scoresText({ scores }: SliceEpoch): string {
  return Object.entries(scores)
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ');
}
