// The formulas of maps and slice scores against the reference values beside the checkout (numpy), and against closed forms.
import { readJson } from '@ct-ensemble/core';
import { dirname, join } from 'node:path';
import { existsSync } from 'node:fs';
import { sharedGoldens } from '../goldens.ts';
import { CAM_METHODS, classActivationMap, type Planes, shownMap } from './cam.ts';
import { rankOf, sliceMaps } from './slice-maps.ts';

type Image = number[][];

interface Reference {
  cases: {
    name: string;
    activations: Image[];
    gradients: Image[];
    expected: Record<string, Image>;
  }[];
  slices: {
    x: Image[];
    kernel: Image[][];
    bias: number[];
    gradient: Image[];
    expected: { preActivation: Image[]; maps: Image[]; score: number[]; rank: number[] };
  };
}

const file = join(dirname(sharedGoldens), 'evaluation', 'cam.json');
const reference = existsSync(file) ? ((await readJson(file)) as Reference) : undefined;

const planes = (images: Image[]): Planes => ({
  channels: images.length,
  height: images[0]!.length,
  width: images[0]![0]!.length,
  data: images.flat(2),
});

const names = { 'grad-cam': 'gradCam', 'hires-cam': 'hiResCam', 'layer-cam': 'layerCam' } as const;

function expectClose(found: ArrayLike<number>, expected: readonly number[]) {
  expect(found).toHaveLength(expected.length);
  const differences = expected.map((value, i) => Math.abs(found[i]! - value));
  expect(Math.max(...differences)).toBeLessThan(1e-12);
}

if (reference === undefined) {
  test.skip('reference values (skipped: no shared/goldens/evaluation/cam.json beside the checkout)', () =>
    undefined);
} else {
  for (const { name, activations, gradients, expected } of reference.cases)
    test.each(CAM_METHODS)(`reference values, ${name}: %s`, (method) => {
      const map = classActivationMap(method, planes(activations), planes(gradients));
      expectClose(map.data, expected[names[method]]!.flat());
      expectClose(shownMap(map).data, expected[`${names[method]}Shown`]!.flat());
    });

  test("reference values: the slices' maps, scores and ranking", () => {
    const { x, kernel, bias, gradient, expected } = reference.slices;
    const { preActivation, maps, scores } = sliceMaps({
      slices: planes(x),
      kernel: kernel.flat(3),
      bias,
      gradient: planes(gradient),
    });
    expectClose(preActivation, expected.preActivation.flat(2));
    expectClose(maps, expected.maps.flat(2));
    expectClose(scores, expected.score);
    expect(rankOf(scores)).toEqual(expected.rank);
  });
}

const wave = (length: number, phase: number) =>
  Array.from({ length }, (_, i) => Math.sin(1.7 * i + phase) + 0.1 * Math.cos(i * i));

test("the slices' scores add up to the gradient times what the convolution computes without its bias", () => {
  const [depth, height, width] = [7, 6, 9];
  const bias = [0.3, -0.2, 0.05];
  const gradient = { channels: 3, height, width, data: wave(3 * height * width, 1) };
  const slices = { channels: depth, height, width, data: wave(depth * height * width, 2) };
  const { preActivation, scores } = sliceMaps({ slices, kernel: wave(3 * depth * 9, 3), bias, gradient });
  const closed = preActivation.reduce((sum, p, i) => {
    const b = bias[Math.floor(i / (height * width))]!;
    return p > 0 ? sum + gradient.data[i]! * (p - b) : sum;
  }, 0);
  expect(scores.reduce((sum, score) => sum + score, 0)).toBeCloseTo(closed, 10);
  expect(Math.abs(closed)).toBeGreaterThan(0.1);
});

test('a single pixel reaches the nine pixels around it with the kernel turned round, and none across the border', () => {
  const data = [1, 0, 0, 0, 0, 0]; // upper left corner of 2 × 3
  const kernel = [1, 2, 3, 4, 5, 6, 7, 8, 9];
  const gradient = { channels: 1, height: 2, width: 3, data: [1, 1, 1, 1, 1, 1] };
  const { maps } = sliceMaps({
    slices: { channels: 1, height: 2, width: 3, data },
    kernel,
    bias: [0],
    gradient,
  });
  expect([...maps]).toEqual([5, 4, 0, 2, 1, 0]);
});

test('equal scores are ranked in the order of the slices', () => {
  expect(rankOf([1, 3, 1, 3, 0])).toEqual([1, 3, 0, 2, 4]);
});

test('shapes that do not fit together are refused', () => {
  const one = planes([[[1]]]);
  const two = planes([[[1, 2]]]);
  expect(() => classActivationMap('grad-cam', one, two)).toThrow('different shapes');
  expect(() => sliceMaps({ slices: one, kernel: [1], bias: [0], gradient: one })).toThrow('do not fit');
});
