// densenet_small against torchvision's DenseNet of the same numbers in float64 (fixtures/make-densenet-small.py).
import { openEngine, type Engine } from '@ct-ensemble/engine';
import { buildModel, type Model } from '../registry.ts';
import { fillGolden, greatestError, runGolden, type Golden } from '../goldens.ts';
import { readFixture } from '../testing/fixtures.ts';
import { exportTensors } from '../weights/weights.ts';

const net = 'densenet_small';
let engine: Engine;
let model: Model;
let golden: Golden & { stateDict: Record<string, number[]> };

beforeAll(async () => {
  engine = await openEngine({ engine: 'cpu' });
  golden = await readFixture(net);
  model = buildModel(net, { views: [golden.shape[1]], classes: 2, seed: 1 });
});
afterAll(() => {
  model.dispose();
  engine.close();
});

test('has the names and shapes of the state dict', async () => {
  const exported = await exportTensors(model.parameters);
  expect(Object.fromEntries([...exported].map(([name, { shape }]) => [name, shape]))).toEqual(
    golden.stateDict,
  );
  const sizes = model.parameters.trainable().map(({ variable }) => variable.size);
  expect(sizes.reduce((a, b) => a + b)).toBe(golden.parameters);
});

test('computes what PyTorch computes: logits, running statistics, loss and every gradient', () => {
  fillGolden(model.parameters, net);
  const found = runGolden(model, net, golden);
  expect(greatestError(found.evalLogits, golden.evalLogits)).toBeLessThan(1e-6);
  expect(greatestError(found.evalLogitsAfterTrainForward, golden.evalLogitsAfterTrainForward)).toBeLessThan(
    1e-6,
  );
  expect(found.firstLoss).toBeCloseTo(golden.firstLoss, 6);
  expect(Object.keys(found.gradients)).toEqual(Object.keys(golden.gradients));
  for (const [name, [norm, sum]] of Object.entries(golden.gradients)) {
    const [foundNorm, foundSum] = found.gradients[name]!;
    expect([name, Math.abs(foundNorm - norm) < 1e-3 * norm]).toEqual([name, true]);
    expect([name, Math.abs(foundSum - sum) < 1e-3 * norm]).toEqual([name, true]);
  }
});
