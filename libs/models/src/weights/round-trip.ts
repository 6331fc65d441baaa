// Writes a network, with weights and input made of names, as a safetensors and as an ONNX file. `models:round-trip` lets PyTorch
// and ONNX Runtime compute from these files; the tests beside this file compare with the results that were recorded then.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256OfFile, writeFileAtomic } from '@ct-ensemble/core';
import tf from '@tensorflow/tfjs';
import { fillGolden, goldenInput, sampledLogits } from '../goldens.ts';
import { onnxModel } from '../onnx/onnx.ts';
import { architectureOf, buildNetwork } from '../registry.ts';
import { traceNetwork } from '../onnx/trace.ts';
import { exportTensors, saveWeights } from './weights.ts';

/** What was written of one network, and what it computes. */
export interface RoundTrip {
  /** Shape of the input: [batch, channels, height, width]. */
  shape: [number, number, number, number];
  /** Slices of each view; empty for a segmenter, which sees an image. */
  views: number[];
  classes: number;
  /** SHA-256 of the safetensors file, and of the ONNX file. */
  safetensors: string;
  onnx: string;
  /** Logits in evaluation mode; of a segmenter 64 evenly spaced values. */
  logits: number[];
}

/**
 * Builds a network on tfjs's current backend and computes its logits. Writes NAME.safetensors, NAME.onnx and the input as
 * NAME.f32 (raw float32 values, N, C, H, W) into the folder.
 * @throws {UserError} for an unknown name.
 */
export async function writeRoundTrip(name: string, folder: string): Promise<RoundTrip> {
  const { output, input } = architectureOf(name);
  const key = { seed: 'golden', net: name };
  const options = output === 'map' ? { views: [], classes: 1 } : { views: [4, 2], classes: 3 };
  const edge = 16 * Math.ceil(input.minimumEdge / 16);
  const size: [number, number] = [edge, edge + 16];
  const shape: RoundTrip['shape'] = [2, output === 'map' ? 3 : 6, ...size];
  const model = buildNetwork(name, options);
  try {
    fillGolden(model.parameters, key);
    const file = (end: string) => join(folder, `${name}.${end}`);
    await saveWeights(model.parameters, file('safetensors'));
    const onnx = onnxModel({
      graph: await traceNetwork(name, { ...options, size }),
      tensors: await exportTensors(model.parameters),
      output,
      name,
      metadata: {},
    });
    await writeFileAtomic(file('onnx'), onnx);
    const x = goldenInput(key, shape);
    const nchw = tf.transpose(x, [0, 3, 1, 2]);
    await writeFile(file('f32'), new Uint8Array((await nchw.data<'float32'>()).slice().buffer));
    const y = model.forward(x, { training: false });
    const logits = sampledLogits(y, 64);
    tf.dispose([x, nchw, y]);
    return {
      shape,
      ...options,
      safetensors: await sha256OfFile(file('safetensors')),
      onnx: await sha256OfFile(file('onnx')),
      logits,
    };
  } finally {
    model.dispose();
  }
}
