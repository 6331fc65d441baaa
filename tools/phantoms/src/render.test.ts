import { ellipseDistance } from './anatomy.ts';
import { DEFAULT_COUNTS, planScans } from './plan.ts';
import { greyOf, renderScan } from './render.ts';
import { grain, mean, sceneOf, SEED, voxelsOf } from './scene.fixture.ts';

const SIZE = 32;

test('the grey scale is the window −1150 … 350 HU', () => {
  expect([-2000, -1150, -850, -550, -150, 50, 350, 3000].map(greyOf)).toEqual([
    0, 0, 51, 102, 170, 204, 255, 255,
  ]);
});

test('the distance to a circle is that to its centre less its radius', () => {
  const circle = { x: 1, y: 2, rx: 5, ry: 5 };
  expect(ellipseDistance(circle, 4, 6)).toBeCloseTo(0, 6);
  expect(ellipseDistance(circle, 1, 12)).toBeCloseTo(5, 6);
  expect(ellipseDistance(circle, 2, 2)).toBeCloseTo(-4, 6);
});

test('detector noise has mean 0 and variance 1, and neighbours resemble each other', () => {
  const neighbours = mean(Array.from(grain.subarray(1), (value, i) => value * grain[i]!));
  expect(mean([...grain])).toBeCloseTo(0, 1);
  expect(mean(Array.from(grain, (value) => value ** 2))).toBeCloseTo(1, 1);
  // Kernel 0.4, 1, 0.4 along the row: 2 · 0.4 / (1 + 4 · 0.16), the corners of the cross do not meet.
  expect(neighbours).toBeCloseTo(0.8 / 1.64, 1);
});

test('the affected fraction is the share of the lungs that the opacities brighten', () => {
  for (const scan of planScans(SEED, DEFAULT_COUNTS).slice(0, 4)) {
    const scene = sceneOf(scan);
    const ill = voxelsOf(scene);
    const healthy = voxelsOf({ ...scene, lungs: { ...scene.lungs, opacities: [] } });
    // Half of an opacity of average density, in air: 0.5 · 0.5 · 850 HU, about 36 grey values.
    const brighter = ill.grey.filter((v, i) => ill.mask[i] === 255 && v - healthy.grey[i]! >= 36).length;
    const affectedFraction = ill.affected / ill.lung.length;
    expect(healthy.affected).toBe(0);
    expect(Math.abs(brighter / ill.lung.length - affectedFraction)).toBeLessThan(0.25 * affectedFraction);
    expect(Math.abs(affectedFraction - scan.targetFraction)).toBeLessThan(0.05);
  }
});

test('neck and abdomen hold no lung, the middle holds two lungs of air', () => {
  const scan = planScans(SEED, DEFAULT_COUNTS).find((s) => s.class === 'non-covid')!;
  const slices = [...renderScan(sceneOf(scan))];
  expect(slices[0]!.lungPixels).toBe(0);
  expect(slices.at(-1)!.lungPixels).toBe(0);
  const middle = slices[Math.floor(slices.length / 2)]!;
  const lungs = [...middle.mask.keys()].filter((i) => middle.mask[i] === 255);
  const left = lungs.filter((i) => i % 32 < SIZE / 2).length;
  expect(lungs.length / SIZE ** 2).toBeGreaterThan(0.08);
  expect(Math.abs(left / lungs.length - 0.5)).toBeLessThan(0.2);
  const outside = [...middle.grey].filter((_, i) => middle.mask[i] === 0 && middle.grey[i]! > 60);
  expect(mean(lungs.map((i) => middle.grey[i]!))).toBeLessThan(greyOf(-600));
  expect(mean(outside)).toBeGreaterThan(greyOf(-150));
});
