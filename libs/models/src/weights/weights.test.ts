import { openEngine, type Engine } from '@ct-ensemble/engine';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildModel } from '../registry.ts';
import type { StoredTensor } from './safetensors.ts';
import { exportTensors, importTensors, loadWeights, saveWeights } from './weights.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ engine: 'cpu' });
});
afterAll(() => engine.close());

const small = (seed: number) => buildModel('densenet_small', { views: [2], classes: 2, seed }).parameters;
const counter = 'model.features.norm5.num_batches_tracked';

test('weights go through a file into another model, its bytes depend on them alone', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-models-'));
  const from = small(1);
  const to = small(2);
  from.counters.set(counter, 41n);
  await saveWeights(from, join(folder, 'a.safetensors'), { epoch: '3' });
  expect(await loadWeights(to, join(folder, 'a.safetensors'))).toEqual({ epoch: '3' });
  expect(await exportTensors(to)).toEqual(await exportTensors(from));
  expect(to.counters.get(counter)).toBe(41n);
  await saveWeights(to, join(folder, 'b.safetensors'), { epoch: '3' });
  const [a, b] = await Promise.all(
    ['a', 'b'].map((name) => readFile(join(folder, `${name}.safetensors`), 'latin1')),
  );
  expect(a === b).toBe(true);
});

test('num_batches_tracked may be missing, and is then kept', async () => {
  const parameters = small(1);
  const tensors = await exportTensors(parameters);
  parameters.counters.set(counter, 5n);
  for (const name of parameters.counters.keys()) tensors.delete(name);
  importTensors(parameters, tensors);
  expect(parameters.counters.get(counter)).toBe(5n);
});

describe('weights that do not fit', () => {
  const bias = 'model.classifier.bias';
  const attempt = async (spoil: (tensors: Map<string, StoredTensor>) => void) => {
    const parameters = small(1);
    const before = await exportTensors(parameters);
    const tensors = await exportTensors(small(2));
    spoil(tensors);
    expect(() => importTensors(parameters, tensors, 'x.safetensors')).toThrow(
      /x\.safetensors: .* do not fit .* →/,
    );
    expect(await exportTensors(parameters)).toEqual(before);
    try {
      importTensors(parameters, tensors, 'x.safetensors');
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error('unreachable');
  };

  test('are named: missing, unexpected, of another shape or dtype; nothing is changed', async () => {
    const message = await attempt((tensors) => {
      tensors.delete(bias);
      tensors.set('extra', { dtype: 'F32', shape: [], data: Float32Array.of(1) });
      tensors.set('encoder1.bias', { dtype: 'F32', shape: [4], data: new Float32Array(4) });
      tensors.set(counter, { dtype: 'I32', shape: [], data: Int32Array.of(1) });
    });
    expect(message).toContain(`${bias} is missing`);
    expect(message).toContain('extra is unexpected');
    expect(message).toContain('encoder1.bias is F32 [4], not F32 [3]');
    expect(message).toContain(`${counter} is I32 [], not I64 []`);
  });

  test('are named ten at most, the rest is counted', async () => {
    const message = await attempt((tensors) => {
      for (let i = 0; i < 12; i++)
        tensors.set(`extra${i}`, { dtype: 'U8', shape: [], data: Uint8Array.of(1) });
    });
    expect(message).toContain('extra9 is unexpected; and 2 more →');
    expect(message).not.toContain('extra10');
  });
});
