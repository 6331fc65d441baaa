// densenet161 against PyTorch in float64: the goldens beside the checkout, on the TensorFlow engine.
import { findTensorFlow, openEngine, type Engine } from '@ct-ensemble/engine';
import { buildModel, type Model } from './registry.ts';
import {
  fillGolden,
  greatestError,
  medianNormError,
  readSharedGolden,
  runGolden,
} from './testing/goldens.ts';

const net = 'densenet161';
const golden = await readSharedGolden(net);
const hasTensorFlow = findTensorFlow() !== null;
let engine: Engine;
let model: Model;

beforeAll(async () => {
  engine = await openEngine({ engine: hasTensorFlow ? 'tensorflow' : 'cpu' });
  model = buildModel(net, { views: [64], classes: 2, seed: 1 });
});
afterAll(() => {
  model.dispose();
  engine.close();
});

test("has the paper's 26 478 149 trainable parameters", () => {
  const sizes = model.parameters.trainable().map(({ variable }) => variable.size);
  expect(sizes.reduce((a, b) => a + b)).toBe(26_478_149);
});

const reason =
  golden === undefined
    ? ' (skipped: no goldens beside the checkout)'
    : hasTensorFlow
      ? ''
      : ' (skipped: no TensorFlow here)';

(reason === '' ? test : test.skip)(`computes what PyTorch computes${reason}`, () => {
  const expected = golden!;
  fillGolden(model.parameters, net);
  const found = runGolden(model, net, expected);
  expect(Object.keys(found.gradients)).toEqual(Object.keys(expected.gradients));
  expect(greatestError(found.evalLogits, expected.evalLogits)).toBeLessThan(1e-4);
  expect(greatestError(found.evalLogitsAfterTrainForward, expected.evalLogitsAfterTrainForward)).toBeLessThan(
    1e-4,
  );
  expect(Math.abs(found.firstLoss / expected.firstLoss - 1)).toBeLessThan(1e-3);
  expect(Object.values(found.gradients).flat().every(Number.isFinite)).toBe(true);
  expect(medianNormError(found.gradients, expected.gradients)).toBeLessThan(0.01);
});
