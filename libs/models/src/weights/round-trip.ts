// Networks written as safetensors and as ONNX, with weights and input made of their names: what models:round-trip shows to
// PyTorch and ONNX Runtime, and the test beside this file compares with what they gave.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256OfFile, writeFileAtomic } from '@ct-ensemble/core';
import tf from '@tensorflow/tfjs';
import { fillGolden, goldenInput, listed } from '../goldens.ts';
import { onnxModel } from '../onnx/onnx.ts';
import { architectureOf, buildNetwork } from '../registry.ts';
import { traceNetwork } from '../onnx/trace.ts';
import { exportTensors, saveWeights } from './weights.ts';

/** What became of one network. */
export interface RoundTrip {
  /** [batch, channels, height, width] of its input. */
  shape: [number, number, number, number];
  views: number[];
  classes: number;
  /** SHA-256 of the two files. */
  safetensors: string;
  onnx: string;
  /** In evaluation mode; of a map 64, evenly apart. */
  logits: number[];
}

/** Builds the network on tfjs's current backend; writes NAME.safetensors, NAME.onnx and its input, NAME.f32, into the folder. */
export async function writeRoundTrip(name: string, folder: string): Promise<RoundTrip> {
  const { output, input } = architectureOf(name);
  const shown = output === 'map' ? { views: [], classes: 1 } : { views: [4, 2], classes: 3 };
  const edge = 16 * Math.ceil(input.minimumEdge / 16);
  const size: [number, number] = [edge, edge + 16];
  const shape: RoundTrip['shape'] = [2, output === 'map' ? 3 : 6, ...size];
  const model = buildNetwork(name, shown);
  try {
    fillGolden(model.parameters, name);
    const file = (end: string) => join(folder, `${name}.${end}`);
    await saveWeights(model.parameters, file('safetensors'));
    const onnx = onnxModel({
      graph: await traceNetwork(name, { ...shown, size }),
      tensors: await exportTensors(model.parameters),
      output,
      name,
      metadata: {},
    });
    await writeFileAtomic(file('onnx'), onnx);
    const x = goldenInput(name, shape);
    const nchw = tf.transpose(x, [0, 3, 1, 2]);
    await writeFile(file('f32'), new Uint8Array((await nchw.data<'float32'>()).slice().buffer));
    const y = model.forward(x, { training: false });
    const logits = listed(y, 64);
    tf.dispose([x, nchw, y]);
    return {
      shape,
      ...shown,
      safetensors: await sha256OfFile(file('safetensors')),
      onnx: await sha256OfFile(file('onnx')),
      logits,
    };
  } finally {
    model.dispose();
  }
}
