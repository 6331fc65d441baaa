// Names, shapes and numbers of parameters against torchvision's and timm's (../fixtures/state-dicts.py).
import { openEngine, type Engine } from '@ct-ensemble/engine';
import { pytorchShape } from './parameters.ts';
import { buildNetwork } from '../registry.ts';
import { readStateDicts } from '../testing/fixtures.ts';

const fixture = await readStateDicts();

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ engine: 'cpu' });
});
afterAll(() => engine.close());

test.each(Object.entries(fixture))('%s', (net, { views, classes, parameters, stateDict }) => {
  const model = buildNetwork(net, { views, classes });
  const { byName, counters } = model.parameters;
  const found = Array.from(byName.values(), ({ name, layout, variable }) => [
    name,
    pytorchShape(variable.shape, layout),
  ]);
  const isCounter = (name: string) => name.endsWith('num_batches_tracked');
  const expected = Object.entries(stateDict);
  expect(found).toEqual(expected.filter(([name]) => !isCounter(name)));
  expect([...counters.keys()]).toEqual(expected.flatMap(([name]) => (isCounter(name) ? [name] : [])));
  const sizes = model.parameters.trainable().map(({ variable }) => variable.size);
  expect(sizes.reduce((sum, size) => sum + size)).toBe(parameters);
  model.dispose();
});
