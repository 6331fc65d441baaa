// Explanations of whole networks: against PyTorch's autograd (fixtures/explain.py), closed forms and planted signs.
import { readJson } from '@ct-ensemble/core';
import { findTensorFlow, openEngine, type Engine } from '@ct-ensemble/engine';
import tf, { type Rank, type Tensor4D } from '@tensorflow/tfjs';
import { fileURLToPath } from 'node:url';
import { fillGolden, goldenInput } from '../goldens.ts';
import { architectureNames, architectureOf, buildModel, buildNetwork } from '../registry.ts';
import { toPyTorch } from '../weights/parameters.ts';
import { CAM_METHODS } from './cam.ts';
import { explain } from './explain.ts';

interface Recorded {
  views: number[];
  shape: [number, number, number, number];
  classes: number;
  logits: number[];
  target: number;
  maps: Record<(typeof CAM_METHODS)[number], number[][]>;
  scores: number[][];
}

const fixture = fileURLToPath(new URL('../fixtures/explain.json', import.meta.url));
const { seed, nets } = (await readJson(fixture)) as { seed: string; nets: Record<string, Recorded> };

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ engine: findTensorFlow() ? 'tensorflow' : 'cpu' });
});
afterAll(() => engine.close());

/** Differences relative to the greatest expected value. */
function expectNear(found: ArrayLike<number>, expected: readonly number[], limit: number) {
  expect(found).toHaveLength(expected.length);
  const greatest = Math.max(...expected.map(Math.abs));
  const differences = expected.map((value, i) => Math.abs(found[i]! - value));
  expect(Math.max(...differences) / greatest).toBeLessThan(limit);
}

test('the small variant of every architecture is among those that PyTorch explained', () => {
  expect(Object.keys(nets).sort()).toEqual(
    architectureNames()
      .filter((name) => name.endsWith('_small'))
      .sort(),
  );
});

test.each(Object.entries(nets))("%s: maps, logits and slice scores are PyTorch's", async (net, recorded) => {
  const { views, shape, classes, logits, target, maps, scores } = recorded;
  const before = tf.memory().numTensors;
  const model = buildNetwork(net, { views, classes });
  const key = { seed, net };
  fillGolden(model.parameters, key);
  const x = goldenInput(key, shape);
  for (const method of CAM_METHODS) {
    const found = await explain(model, x, { method });
    expect(found.target).toBe(target);
    expectNear(found.logits, logits, 1e-5);
    expect([found.map.height, found.map.width]).toEqual([maps[method].length, maps[method][0]!.length]);
    expectNear(found.map.data, maps[method].flat(), 1e-4);
    expect(found.views).toHaveLength(views.length);
    found.views.forEach((view, i) => expectNear(view.scores, scores[i]!, 1e-3));
  }
  x.dispose();
  model.dispose();
  expect(tf.memory().numTensors).toBe(before);
});

const classifiers = Object.keys(nets).filter((name) => architectureOf(name).output === 'classes');

test.each(classifiers)(
  '%s: the HiResCAM map adds up to the logit without the bias of the head',
  async (name) => {
    const [depth, edge] = [3, architectureOf(name).input.minimumEdge + 20];
    const model = buildModel(name, { views: [depth], classes: 3, seed: 7 });
    const x = volume(edge, depth);
    for (const target of [0, 1, 2]) {
      const { logits, map } = await explain(model, x, { target, method: 'hires-cam' });
      const head = model.parameters.byName.get(`model.${architectureOf(name).head}.bias`)!;
      const bias = (await toPyTorch(head.variable, 'vector')).data[target]!;
      const sum = map.data.reduce((total, value) => total + value, 0);
      expect(sum).toBeCloseTo(logits[target]! - bias, 4);
    }
    x.dispose();
    model.dispose();
  },
);

test('attention multiplies the score of a slice', async () => {
  const model = buildModel('densenet_attention_small', { views: [4], classes: 2, seed: 3 });
  const plain = buildModel('densenet_small', { views: [4], classes: 2, seed: 3 });
  const x = volume(24, 4);
  const scores = async (of: typeof model, input: Tensor4D) =>
    (await explain(of, input, { target: 1 })).views[0]!.scores;
  expect(await scores(model, x)).toEqual(await scores(plain, x)); // factors of 1 at the start
  const bias = [0, 2, -2, 0.5];
  model.parameters.byName.get('attention1.fc2.bias')!.variable.assign(tf.tensor1d(bias));
  const factors = bias.map((z) => 2 / (1 + Math.exp(-z)));
  const weighed = tf.tidy(() => tf.mul<Tensor4D>(x, tf.tensor1d(factors)));
  expectNear(await scores(model, x), await scores(plain, weighed), 1e-4);
  tf.dispose([x, weighed]);
  model.dispose();
  plain.dispose();
});

test('a class that does not exist and a network without observed features are refused', async () => {
  const model = buildModel('densenet_small', { views: [3], classes: 2, seed: 1 });
  const x = volume(16, 3);
  await expect(explain(model, x, { target: 2 })).rejects.toThrow(
    'there is no class 2 → give a number from 0 to 1',
  );
  const silent = { ...model, forward: (y: Tensor4D) => model.forward(y, { training: false }) };
  await expect(explain(silent, x)).rejects.toThrow(/does not say which are its last features → put observed/);
  x.dispose();
  model.dispose();
});

/** Adebayo et al., NeurIPS 2018: a map that explains a network must change when weights of it become random. */
test.each([
  { part: 'all weights', isRandom: () => true, changes: ['map', 'scores'] },
  {
    part: 'the head',
    isRandom: (name: string) => name.startsWith('model.classifier'),
    changes: ['map', 'scores'],
  },
  { part: 'the front', isRandom: (name: string) => name.startsWith('encoder'), changes: ['scores'] },
])('with $part random the explanation changes', async ({ isRandom, changes }) => {
  const key = { seed, net: 'densenet_small' };
  const model = buildModel(key.net, { views: [6], classes: 3 });
  const x = goldenInput(key, [1, 6, 64, 64]);
  fillGolden(model.parameters, key);
  const before = await explain(model, x, { target: 1 });
  for (const draw of [1, 2, 3]) {
    const random = buildModel(key.net, { views: [6], classes: 3, seed: draw });
    for (const [name, { variable }] of model.parameters.byName)
      if (isRandom(name)) variable.assign(random.parameters.byName.get(name)!.variable);
    random.dispose();
    const after = await explain(model, x, { target: 1 });
    expect(correlation(before.views[0]!.scores, after.views[0]!.scores)).toBeLessThan(0.95);
    if (changes.includes('map')) expect(correlation(before.map.data, after.map.data)).toBeLessThan(0.95);
  }
  x.dispose();
  model.dispose();
});

/** Pearson's correlation. */
function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const mean = (values: ArrayLike<number>) =>
    Array.from(values).reduce((sum, v) => sum + v, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += (a[i]! - meanA) * (b[i]! - meanB);
    aa += (a[i]! - meanA) ** 2;
    bb += (b[i]! - meanB) ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}

const volume = (edge: number, depth: number) =>
  tf.tensor<Rank.R4>(
    Float32Array.from({ length: edge * edge * depth }, (_, i) => Math.abs(Math.sin(i * i + 0.3 * i))),
    [1, edge, edge, depth],
  );
