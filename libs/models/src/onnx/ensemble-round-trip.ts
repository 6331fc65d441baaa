// Writes an ensemble of three small networks, with weights and inputs made of names, as one ONNX file. `models:round-trip` lets ONNX
// Runtime compute from it; the test of ensemble.ts compares with the results that were recorded then.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256OfFile, writeFileAtomic } from '@ct-ensemble/core';
import tf, { type Tensor3D } from '@tensorflow/tfjs';
import { fillGolden, goldenInput } from '../goldens.ts';
import { buildModel } from '../registry.ts';
import { exportTensors } from '../weights/weights.ts';
import { type EnsembleNetwork, onnxEnsemble } from './ensemble.ts';
import { traceNetwork } from './trace.ts';

/** What was written of the ensemble, and what it computes. */
export interface EnsembleRoundTrip {
  /** Shape of each input: [batch, slices, height, width]. */
  inputs: Record<string, number[]>;
  /** SHA-256 of the ONNX file. */
  onnx: string;
  /** Softmax outputs, [batch, members, classes]. */
  members: number[];
  /** softmax(ln Σ wₘ·pₘ / T), [batch, classes]. */
  probabilities: number[];
}

const batch = 2;
const classes = 3;
const weights = [0.5, 0.3, 0.2];
const temperature = 1.7;
const inputs: EnsembleRoundTrip['inputs'] = { volume: [batch, 6, 80, 96], 'volume-2': [batch, 5, 80, 80] };
/** Two members see the same volume, once as two views and once as one; the third sees a volume of its own. */
const members = [
  { name: 'dense', architecture: 'densenet_small', views: [4, 2], input: 'volume' },
  { name: 'next', architecture: 'resnext_small', views: [6], input: 'volume' },
  { name: 'inception', architecture: 'inception_v3_small', views: [5], input: 'volume-2' },
];

/**
 * Computes the ensemble's probabilities on tfjs's current backend. Writes ensemble.onnx and each input as INPUT.u8 (raw bytes, N,
 * C, H, W) into the folder.
 */
export async function writeEnsemble(folder: string): Promise<EnsembleRoundTrip> {
  const volumes = new Map(
    Object.entries(inputs).map(([name, shape]) => {
      const unit = goldenInput({ seed: 'ensemble', net: name }, shape as [number, number, number, number]);
      return [name, tf.tidy(() => tf.floor(tf.mul(unit, 256)))];
    }),
  );
  for (const [name, volume] of volumes) {
    const nchw = tf.tidy(() => tf.transpose(volume, [0, 3, 1, 2]));
    await writeFile(join(folder, `${name}.u8`), Uint8Array.from(nchw.dataSync()));
    nchw.dispose();
  }
  const networks: EnsembleNetwork[] = [];
  const rows: Tensor3D[] = [];
  for (const { name, architecture, views, input } of members) {
    const model = buildModel(architecture, { views, classes });
    fillGolden(model.parameters, { seed: 'ensemble', net: name });
    const [, , height, width] = inputs[input]!;
    const graph = await traceNetwork(architecture, { views, classes, size: [height!, width!] });
    networks.push({ name, graph, tensors: await exportTensors(model.parameters), input });
    const x = tf.tidy(() => tf.mul(volumes.get(input)!, 1 / 255));
    rows.push(tf.tidy(() => tf.expandDims(tf.softmax(model.forward(x as never, { training: false })), 1)));
    tf.dispose(x);
    model.dispose();
  }
  const name = 'ensemble';
  const file = join(folder, 'ensemble.onnx');
  await writeFileAtomic(file, [
    onnxEnsemble({ members: networks, weights, temperature, name, metadata: {} }),
  ]);
  const all = tf.concat(rows, 1);
  const own = {
    inputs,
    onnx: await sha256OfFile(file),
    members: [...all.dataSync()],
    probabilities: combined((await all.array()) as number[][][]).flat(),
  };
  tf.dispose([all, rows, [...volumes.values()]]);
  return own;
}

/** The weighted mean with temperature in float64, by its definition. */
const combined = (all: number[][][]) =>
  all.map((rows) => {
    const cooled = Array.from({ length: classes }, (_, c) => {
      const mean = rows.reduce((sum, row, m) => sum + weights[m]! * row[c]!, 0);
      return mean ** (1 / temperature);
    });
    const sum = cooled.reduce((total, value) => total + value, 0);
    return cooled.map((value) => value / sum);
  });
