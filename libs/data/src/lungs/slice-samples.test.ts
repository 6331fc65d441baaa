import { holdOut, type SliceSample } from './slice-samples.ts';

const samples: SliceSample[] = Array.from({ length: 40 }, (_, i) => ({
  name: `${i}`,
  group: `p${i % 10}`,
  image: new Uint8Array(),
  truth: new Uint8Array(),
}));
const groupsOf = (some: SliceSample[]) => Array.from(new Set(some.map(({ group }) => group))).sort();

test('holds a share of the patients out, by the seed, and no slice of theirs is trained on', () => {
  const { train, val } = holdOut(samples, { seed: 1, share: 0.2 });
  expect([train.length, val.length]).toEqual([32, 8]);
  expect(groupsOf(val)).toHaveLength(2);
  expect(groupsOf(train).filter((group) => groupsOf(val).includes(group))).toEqual([]);
  expect(
    holdOut([...samples].reverse(), { seed: 1, share: 0.2 })
      .val.map(({ name }) => name)
      .reverse(),
  ).toEqual(val.map(({ name }) => name));
  const drawn = Array.from({ length: 20 }, (_, seed) =>
    String(groupsOf(holdOut(samples, { seed, share: 0.2 }).val)),
  );
  expect(new Set(drawn).size).toBeGreaterThan(5);
});

test('holds out at least one, or those that are named', () => {
  expect(groupsOf(holdOut(samples, { seed: 1, share: 0.01 }).val)).toHaveLength(1);
  expect(groupsOf(holdOut(samples, { seed: 1, share: 0.9, groups: ['p3', 'p7'] }).val)).toEqual(['p3', 'p7']);
});

test('says which name is unknown, and what is there; leaves something to train on', () => {
  expect(() => holdOut(samples, { seed: 1, share: 0.2, groups: ['p3', 'q'] })).toThrow(
    /--val: there is no q → choose from p0, p1/,
  );
  expect(() => holdOut(samples.slice(0, 1), { seed: 1, share: 0.2 })).toThrow(/all of p0 are held out/);
});
