import { type Engine, openEngine } from '@ct-ensemble/engine';
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import { augment, drawAugmentation, transformOf } from './augment.ts';
import type { Augmentation } from './options.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine();
});
afterAll(() => engine.close());

const image = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]; // prettier-ignore
const turned = (turn: Partial<Parameters<typeof transformOf>[0]>) => {
  const transform = transformOf({ angle: 0, mirrorX: false, mirrorY: false, height: 3, width: 3, ...turn });
  const x = tf.tensor4d(image.flat(), [1, 3, 3, 1]);
  const y = augment(x, { transforms: tf.tensor2d([transform]) });
  return Array.from(y.dataSync(), (value) => Math.round(value * 1e3) / 1e3);
};

test('the transform turns about the centre, then flips', () => {
  expect(turned({})).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(turned({ mirrorX: true })).toEqual([3, 2, 1, 6, 5, 4, 9, 8, 7]);
  expect(turned({ mirrorY: true })).toEqual([7, 8, 9, 4, 5, 6, 1, 2, 3]);
  expect(turned({ angle: Math.PI })).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1]);
  expect(turned({ angle: Math.PI / 2 })).toEqual([3, 6, 9, 2, 5, 8, 1, 4, 7]);
  expect(turned({ angle: Math.PI / 2, mirrorX: true })).toEqual([9, 6, 3, 8, 5, 2, 7, 4, 1]);
});

test('blur is the mean of 3×3, gain is cut at white, each only for the scans drawn', () => {
  const x = tf.tensor4d(
    [...image.flat(), ...image.flat().map((value) => value * 20)],
    [2, 3, 3, 1],
  ) as Tensor4D;
  const [first, second] = tf.unstack(augment(x, { blur: tf.tensor1d([1, 0]), gain: tf.tensor1d([1, 1.5]) }));
  expect(first!.dataSync()[4]).toBeCloseTo(5, 5);
  expect(first!.dataSync()[0]).toBeCloseTo((1 + 2 + 4 + 5) / 4, 5);
  expect(Array.from(second!.dataSync())).toEqual([30, 60, 90, 120, 150, 180, 210, 240, 255]);
});

const paper: Augmentation = {
  rotate: 35,
  flipHorizontal: 0.5,
  flipVertical: [0.1, 0.1],
  blur: 0.2,
  gain: [{ factor: 1.5, probability: 0.2 }, { factor: 0.5, probability: 0.2 }], // prettier-ignore
};
const key = { seed: 1, epoch: 3, height: 64, width: 64 };

test("a scan's draw depends on seed, epoch and name alone, not on its batch", () => {
  const row = (draws: ReturnType<typeof drawAugmentation>, i: number) =>
    Array.from(tf.unstack(draws.transforms!)[i]!.dataSync());
  const pair = drawAugmentation(paper, { ...key, scans: ['a', 'b'] });
  const alone = drawAugmentation(paper, { ...key, scans: ['b'] });
  expect(row(pair, 1)).toEqual(row(alone, 0));
  expect(row(pair, 0)).not.toEqual(row(pair, 1));
  expect(row(drawAugmentation(paper, { ...key, epoch: 4, scans: ['b'] }), 0)).not.toEqual(row(alone, 0));
});

test('the draws have their probabilities', () => {
  const scans = Array.from({ length: 2000 }, (_, i) => `scan ${i}`);
  const { transforms, blur, gain } = drawAugmentation(paper, { ...key, scans });
  const share = (values: ArrayLike<number>, which: (value: number) => boolean) =>
    Array.from(values).filter(which).length / 2000;
  expect(share(blur!.dataSync(), (value) => value === 1)).toBeCloseTo(0.2, 1);
  expect(share(gain!.dataSync(), (value) => value === 1.5)).toBeCloseTo(0.16, 1);
  expect(share(gain!.dataSync(), (value) => value === 0.75)).toBeCloseTo(0.04, 1);
  const rows = transforms!.arraySync();
  const mirrored = rows.filter(([a, b, , c, d]) => a! * d! - b! * c! < 0).length / 2000;
  expect(mirrored).toBeCloseTo(0.5 * (1 - 0.18) + 0.5 * 0.18, 1);
  const angles = rows.map(([a, b]) => Math.atan2(Math.abs(b!), Math.abs(a!)) * (180 / Math.PI));
  expect(Math.max(...angles)).toBeLessThanOrEqual(35.001);
  expect(angles.filter((angle) => angle > 17.5).length / 2000).toBeCloseTo(0.5, 1);
});

test('what the recipe leaves out is not drawn', () => {
  const none = { rotate: 0, flipHorizontal: 0, flipVertical: [], blur: 0, gain: [] };
  expect(drawAugmentation(none, { ...key, scans: ['a'] })).toEqual({});
});
