// The small variant of every architecture against PyTorch in float64 (fixtures/goldens.py). goldens.slow.test.ts compares the
// full-size networks.
import { findTensorFlow, openEngine, type EngineKind } from '@ct-ensemble/engine';
import {
  compareGolden,
  fillGolden,
  greatestError,
  runGolden,
  type Golden,
  type GoldenKey,
} from './goldens.ts';
import { architectureNames, buildNetwork } from './registry.ts';
import { readSmallGoldens } from './testing/fixtures.ts';

const { seed, nets } = await readSmallGoldens();
const fast: EngineKind = findTensorFlow() ? 'tensorflow' : 'cpu';

async function withEngine<T>(engine: EngineKind, work: () => T): Promise<T> {
  const opened = await openEngine({ engine });
  try {
    return work();
  } finally {
    opened.close();
  }
}

/** Every value of the goldens, to the precision of float32. */
function expectEqual(key: GoldenKey, golden: Golden) {
  const { net } = key;
  const { views = [], shape, labels } = golden;
  const classes = Array.isArray(labels) ? Math.max(...labels) + 1 : 1;
  const model = buildNetwork(net, { views, channels: shape[1], classes });
  fillGolden(model.parameters, key);
  const found = runGolden(model, key, golden);
  model.dispose();
  expect(greatestError(found.evalLogits, golden.evalLogits)).toBeLessThan(1e-6);
  expect(greatestError(found.evalLogitsAfterTrainForward, golden.evalLogitsAfterTrainForward)).toBeLessThan(
    1e-6,
  );
  expect(Math.abs(found.firstLoss / golden.firstLoss - 1)).toBeLessThan(5e-5);
  expect(Object.keys(found.gradients)).toEqual(Object.keys(golden.gradients));
  const largest = Math.max(...Object.values(golden.gradients).map(([norm]) => norm));
  for (const [name, [norm, sum]] of Object.entries(golden.gradients)) {
    const [foundNorm, foundSum] = found.gradients[name]!;
    const tolerance = 1e-3 * norm + 1e-6 * largest; // the second term: gradients that are 0 but for rounding
    expect([name, Math.abs(foundNorm - norm) < tolerance]).toEqual([name, true]);
    expect([name, Math.abs(foundSum - sum) < tolerance]).toEqual([name, true]);
  }
}

for (const net of architectureNames().filter((name) => name.endsWith('_small'))) {
  const golden = nets[net];
  if (golden) {
    test(`${net} computes what PyTorch computes: logits, running statistics, loss, every gradient`, () =>
      withEngine(fast, () => expectEqual({ seed, net }, golden)));
  } else {
    test.skip(`${net} (skipped: no values of PyTorch are recorded; see fixtures/goldens.py)`, () =>
      undefined);
  }
}

test("tfjs's own CPU backend computes what PyTorch computes", () =>
  withEngine('cpu', () =>
    expectEqual({ seed, net: 'densenet_small' }, nets['densenet_small']!),
  )); // prettier-ignore

test("values come from the file's seed: another seed gives other logits", () =>
  withEngine(fast, () => {
    const figure = (given: string) =>
      compareGolden({ seed: given, net: 'resnext_small' }, nets['resnext_small']!).figures[0]!.value;
    expect(figure(seed)).toBeLessThan(1e-6);
    expect(figure('golden')).toBeGreaterThan(1e-3);
  }));
