// For tests: the entries of a small ensemble file, whose weights are of a real network of a few kilobytes.
import { PREPARATION_VERSION } from '@ct-ensemble/data';
import { digestOfTensors, encodeSafetensors, type StoredTensor, withDigests } from '@ct-ensemble/models';
import { type ContainerEntry, sha256Of } from './container.ts';
import type { Manifest } from './manifest.ts';

const interval = { estimate: 0.5, low: null, high: null };
const range = { min: 0, max: 1 };

/** Weights of two members, one tensor each. */
export function weightEntries(): ContainerEntry[] {
  return ['one', 'two'].map((name, i) => {
    const tensor: StoredTensor = { dtype: 'F32', shape: [2], data: Float32Array.of(i, 0.5) };
    const tensors = new Map([['weight', tensor]]);
    const parts = encodeSafetensors(tensors, withDigests({}, digestOfTensors(tensors)));
    return { name: `members/${name}.safetensors`, bytes: Buffer.concat(parts) };
  });
}

/** A manifest of these entries. */
export function manifestOf(others: readonly ContainerEntry[], changes: object = {}): Manifest {
  const scores = {
    scans: 4,
    patients: 4,
    macroF1: interval,
    accuracy: interval,
    auroc: null,
    confusion: [
      [1, 1],
      [1, 1],
    ],
    rough: true,
  };
  return {
    format: 'ct-ensemble',
    version: 1,
    name: 'tiny',
    classes: ['non-covid', 'covid'],
    members: ['one', 'two'].map((name) => ({
      name,
      architecture: 'densenet_small',
      seed: 1,
      fold: null,
      pretrained: false,
      views: [4],
      volume: 0,
      weights: `members/${name}.safetensors`,
      checkpoint: '0'.repeat(64),
      bestEpoch: 1,
      macroF1: 0.5,
    })),
    preparation: {
      version: PREPARATION_VERSION,
      volumes: [
        {
          depth: 4,
          height: 16,
          width: 16,
          slices: 'all',
          sampling: 'nearest',
          secondView: 'shared',
          mask: null,
          equalize: false,
        },
      ],
      filter: null,
      segmenter: null,
    },
    combination: { method: 'mean', weights: null },
    engine: { precision: 'float32', trainedWith: ['TensorFlow 2.21.0 on cpu:1, Node v20.20.2'] },
    batches: { val: 2, test: 2 },
    calibration: {
      source: 'validation',
      scans: 4,
      patients: 4,
      temperature: { value: 2, logLossBefore: 0.7, logLossAfter: 0.6 },
      conformal: [{ alpha: 0.1, method: 'lac', threshold: 0.75, coverageRange: [0.5, 1], guarantee: '' }],
    },
    scores: { calibration: scores, test: null },
    training: {
      scans: 8,
      perClass: [4, 4],
      ranges: {
        slices: { min: 30, max: 50 },
        keptShare: range,
        mean: { min: 90, max: 110 },
        black: range,
        white: range,
        lung: range,
      },
      valueFindings: [],
    },
    weights: { type: 'float32', difference: null },
    run: { recipe: 'tiny', task: null, dataset: '0'.repeat(64) },
    packedWith: { ctEnsemble: '0.1.0' },
    entries: others.map(({ name, bytes }) => ({ name, bytes: bytes.length, sha256: sha256Of(bytes) })),
    ...changes,
  };
}

/** All entries of a file with this manifest. */
export function entriesWith(manifest: object, others: readonly ContainerEntry[]): ContainerEntry[] {
  return [{ name: 'manifest.json', bytes: Buffer.from(JSON.stringify(manifest)) }, ...others];
}
