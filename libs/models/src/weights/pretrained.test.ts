import { openEngine, type Engine } from '@ct-ensemble/engine';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { importPretrained, loadPretrained, pretrainedFile } from './pretrained.ts';
import { buildModel, type Model, type ModelOptions } from '../registry.ts';
import type { StoredTensor, StoredTensorOf } from './safetensors.ts';
import { exportTensors, saveWeights } from './weights.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ engine: 'cpu' });
});
afterAll(() => engine.close());

const small = (options: Partial<ModelOptions>) =>
  buildModel('densenet_small', { views: [], classes: 1000, seed: 7, ...options });
const head = ['classifier.bias', 'classifier.weight'];
const publishedTensors = () => exportTensors(small({}).parameters);

test('a backbone behind a front, with another head', async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'ct-ensemble-models-')), 'published.safetensors');
  const source = small({}).parameters;
  for (const name of source.counters.keys()) source.counters.set(name, 41n);
  await saveWeights(source, file);
  const model = small({ views: [4], classes: 2, seed: 1 });
  const before = await exportTensors(model.parameters);
  const report = await loadPretrained(model, file);
  const after = await exportTensors(model.parameters);
  const published = await exportTensors(source);
  expect(report.skipped.sort()).toEqual(head);
  expect(report.adapted).toEqual([]);
  expect(report.fresh).toEqual([
    'encoder1.weight',
    'encoder1.bias',
    'model.classifier.weight',
    'model.classifier.bias',
  ]);
  const { byName, counters } = model.parameters;
  expect(report.loaded.length + report.fresh.length).toBe(byName.size + counters.size);
  for (const name of report.fresh) expect(after.get(name)).toEqual(before.get(name));
  for (const name of report.loaded)
    expect(after.get(name)).toEqual(published.get(name.slice('model.'.length)));
});

test('a head with the same number of classes is loaded too', async () => {
  const report = importPretrained(small({ views: [2, 2] }), await publishedTensors());
  expect(report.skipped).toEqual([]);
  expect(report.fresh.every((name) => name.startsWith('encoder'))).toBe(true);
});

test.each([1, 2, 5])('the first convolution for %d channels, by the rule of timm', async (channels) => {
  const published = await publishedTensors();
  const name = 'features.conv0.weight';
  const { shape, data } = published.get(name) as StoredTensorOf<'F32'>;
  const model = small({ channels });
  expect(importPretrained(model, published).adapted).toEqual([{ name, how: `3 → ${channels} channels` }]);
  const adapted = (await exportTensors(model.parameters)).get(name) as StoredTensorOf<'F32'>;
  const [filters, , height, width] = shape as [number, number, number, number];
  expect(adapted.shape).toEqual([filters, channels, height, width]);
  const at = (tensor: { data: Float32Array }, depth: number, [f, c, p]: [number, number, number]) =>
    tensor.data[(f * depth + c) * height * width + p]!;
  for (const [f, p] of [[0, 0], [3, 11], [7, 48]] as [number, number][]) {
    for (let c = 0; c < channels; c++) {
      const colours = [0, 1, 2].map((colour) => at({ data }, 3, [f, colour, p]));
      const expected = channels === 1 ? colours[0]! + colours[1]! + colours[2]! : (colours[c % 3]! * 3) / channels;
      expect(at(adapted, channels, [f, c, p])).toBeCloseTo(expected, 6);
    }
  }
}); // prettier-ignore

test('tensors of the file that the registry lists as skipped are ignored', async () => {
  const tensor: StoredTensor = { dtype: 'F32', shape: [1], data: new Float32Array(1) };
  const tensors = new Map(['AuxLogits.fc.bias', 'fc.bias', 'other.bias'].map((name) => [name, tensor]));
  const attempt = () => importPretrained(buildModel('inception_v3', { views: [], classes: 2 }), tensors);
  expect(attempt).toThrow(/inception_v3: other\.bias is unknown; Conv2d_1a_3x3\.conv\.weight is missing/);
  expect(attempt).toThrow(/^((?!AuxLogits).)*$/);
});

test('weights of another network are refused, and change nothing', async () => {
  const published = await publishedTensors();
  const model = small({ views: [4], classes: 2, seed: 1 });
  const before = await exportTensors(model.parameters);
  published.delete('features.norm0.weight');
  published.set('features.norm0.bias', { dtype: 'F32', shape: [9], data: new Float32Array(9) });
  published.set('features.norm5.weight', { dtype: 'I32', shape: [40], data: new Int32Array(40) });
  published.set('layer1.0.weight', { dtype: 'F32', shape: [1], data: new Float32Array(1) });
  const attempt = () => importPretrained(model, published, 'x.safetensors');
  expect(attempt).toThrow(/x\.safetensors: is not a file of weights for densenet_small: /);
  expect(attempt).toThrow('features.norm0.weight is missing');
  expect(attempt).toThrow('features.norm0.bias is F32 [9], not F32 [8]');
  expect(attempt).toThrow('features.norm5.weight is I32');
  expect(attempt).toThrow('layer1.0.weight is unknown');
  expect(await exportTensors(model.parameters)).toEqual(before);
});

test('a file in the cache that has changed since it was stored is refused before it is read', async () => {
  const before = process.env['CT_ENSEMBLE_CACHE'];
  process.env['CT_ENSEMBLE_CACHE'] = await mkdtemp(join(tmpdir(), 'ct-ensemble-models-'));
  try {
    const file = pretrainedFile('densenet161')!;
    const record = {
      repository: 'timm/densenet161.tv_in1k',
      revision: 'main',
      bytes: 7,
      sha256: 'f'.repeat(64),
    };
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, 'changed');
    await writeFile(join(dirname(file), 'model.json'), JSON.stringify(record));
    const model = { architecture: 'densenet161' } as Model;
    await expect(loadPretrained(model, file)).rejects.toThrow(
      /the file was changed: .* it was f{64} → .*weights:fetch/,
    );
  } finally {
    if (before === undefined) delete process.env['CT_ENSEMBLE_CACHE'];
    else process.env['CT_ENSEMBLE_CACHE'] = before;
  }
});
