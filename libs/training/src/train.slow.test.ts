// Resuming a member whose network has batch normalisation, with and without averaged weights.
import { type Engine, openEngine } from '@ct-ensemble/engine';
import { buildModel } from '@ct-ensemble/models';
import { depth, expectEqualBytes, training } from './testing/member.fixture.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
});
afterAll(() => engine.close());

const densenet = () => buildModel('densenet_small', { views: [depth], classes: 2, seed: 5 });

test('the same seed gives the same bytes, also when resumed: adam', async () => {
  await expectEqualBytes(training, densenet);
});

test('the same seed gives the same bytes, also when resumed: averaged weights', async () => {
  await expectEqualBytes({ ...training, averageWeights: { decay: 0.9 } }, densenet);
});
