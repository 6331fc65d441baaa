// The ONNX file of an ensemble is the one from which ONNX Runtime computed the recorded probabilities.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readJson } from '@ct-ensemble/core';
import { type Engine, findTensorFlow, openEngine } from '@ct-ensemble/engine';
import { traceNetwork } from './trace.ts';
import { onnxEnsemble } from './ensemble.ts';
import { type EnsembleRoundTrip, writeEnsemble } from './ensemble-round-trip.ts';

const fixture = fileURLToPath(new URL('../fixtures/ensemble.json', import.meta.url));

let engine: Engine;
let folder: string;
beforeAll(async () => {
  engine = await openEngine({ engine: findTensorFlow() ? 'tensorflow' : 'cpu' });
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-onnx-'));
});
afterAll(async () => {
  engine.close();
  await rm(folder, { recursive: true });
});

const farthest = (ours: readonly number[], theirs: readonly number[]) =>
  ours.length === theirs.length ? Math.max(...ours.map((value, i) => Math.abs(value - theirs[i]!))) : NaN;

test('ONNX Runtime computes the weighted mean with temperature from this file', async () => {
  const recorded = (await readJson(fixture)) as EnsembleRoundTrip;
  const ours = await writeEnsemble(folder);
  expect(ours.onnx).toBe(recorded.onnx);
  expect(recorded.members).toHaveLength(2 * 3 * 3);
  expect(farthest(ours.members, recorded.members)).toBeLessThan(1e-6);
  expect(farthest(ours.probabilities, recorded.probabilities)).toBeLessThan(1e-6);
  expect(farthest(recorded.members.slice(0, 3), recorded.probabilities.slice(0, 3))).toBeGreaterThan(1e-3);
});

test('a file larger than protobuf can read is refused by name before it is put together', async () => {
  const graph = await traceNetwork('densenet_small', { views: [2], classes: 2, size: [32, 32] });
  const data = new Float32Array(1000);
  const tensors = new Map([['encoder1.weight', { dtype: 'F32' as const, shape: [1000], data }]]);
  const members = ['one', 'two'].map((name) => ({ name, graph, tensors, input: 'volume' }));
  expect(() => onnxEnsemble({ members, name: 'e', metadata: {} }, 8000)).toThrow(
    /the weights of the 2 members take 0\.00 GB, and an ONNX file may be at most 0\.00 GB large → export a submission of fewer members with --submission, or each member with --single/,
  );
});
