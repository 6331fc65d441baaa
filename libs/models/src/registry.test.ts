import { openEngine, type Engine } from '@ct-ensemble/engine';
import tf, { type Rank, type Tensor4D } from '@tensorflow/tfjs';
import { architectureNames, architectures, buildModel, buildNetwork } from './registry.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ engine: 'cpu' });
});
afterAll(() => engine.close());

const options = { views: [4], classes: 3, seed: 1 };
const volume = (...shape: [number, number, number]) => tf.fill<Rank.R4>([2, ...shape], 0.5) as Tensor4D;

test('an unknown architecture is refused with the list of known ones', () => {
  expect(() => buildModel('densenet', options)).toThrow(
    `unknown architecture "densenet" → choose one of ${architectureNames().join(', ')}`,
  );
  expect(architectureNames().slice(0, 2)).toEqual(['densenet161', 'densenet_small']);
  expect(() => buildModel('constructor', options)).toThrow('unknown architecture');
});

test('a volume of another depth or below the minimum size is refused; one of the minimum size is accepted', () => {
  const model = buildModel('densenet_small', options);
  const { minimumEdge } = architectures['densenet_small']!.input;
  const forward = (...shape: [number, number, number]) =>
    model.forward(volume(...shape), { training: false });
  expect(forward(minimumEdge, minimumEdge + 3, 4).shape).toEqual([2, 3]);
  expect(() => forward(64, 64, 5)).toThrow(/built for 4 slices .* the volume is 64 × 64 × 5/);
  expect(() => forward(64, minimumEdge - 1, 4)).toThrow(/at least 13 pixels/);
  model.dispose();
});

test('a forward pass leaves its logits and nothing else, a disposed model nothing at all', () => {
  const empty = tf.memory().numTensors;
  const model = buildModel('densenet_small', options);
  const x = volume(16, 16, 4);
  const before = tf.memory().numTensors;
  for (const training of [true, false]) {
    const logits = model.forward(x, { training });
    expect(tf.memory().numTensors).toBe(before + 1);
    logits.dispose();
  }
  x.dispose();
  model.dispose();
  expect(tf.memory().numTensors).toBe(empty);
});

test('a segmenter is built by buildNetwork, and needs edges that can be halved', () => {
  expect(() => buildModel('att_unet_small', options)).toThrow('att_unet_small classifies pixels, not images');
  const model = buildNetwork('att_unet_small', { views: [], classes: 2 });
  const forward = (edge: number) => model.forward(volume(edge, edge + 4, 3), { training: false });
  expect(forward(8).shape).toEqual([2, 8, 12, 2]);
  expect(() => forward(10)).toThrow(/at least 4 pixels a side, a multiple of 4; the volume is 10 × 14 × 3/);
});

test('two views have an encoder each, and a third one joins them', () => {
  const model = buildModel('resnext_small', { views: [4, 2], classes: 2, seed: 1 });
  const names = [...model.parameters.byName.keys()].filter((name) => name.startsWith('encoder'));
  expect(names).toEqual(['1', '2', '3'].flatMap((i) => [`encoder${i}.weight`, `encoder${i}.bias`]));
  expect(model.forward(volume(20, 20, 6), { training: false }).shape).toEqual([2, 2]);
  expect(() => model.forward(volume(20, 20, 4), { training: false })).toThrow(/built for 4 \+ 2 slices/);
});
