import { openEngine, type Engine } from '@ct-ensemble/engine';
import tf, { type Rank, type Tensor4D } from '@tensorflow/tfjs';
import { architectureNames, architectures, buildModel } from './registry.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ engine: 'cpu' });
});
afterAll(() => engine.close());

const options = { views: [4], classes: 3, seed: 1 };
const volume = (...shape: [number, number, number]) => tf.fill<Rank.R4>([2, ...shape], 0.5) as Tensor4D;

test('an unknown architecture is refused with the list of those there are', () => {
  expect(architectureNames()).toEqual(['densenet161', 'densenet_small']);
  expect(() => buildModel('densenet', options)).toThrow(
    'unknown architecture "densenet" → choose one of densenet161, densenet_small',
  );
  expect(() => buildModel('constructor', options)).toThrow('unknown architecture');
});

test('a volume of another depth, or too small for the network, is refused; the smallest is not', () => {
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
