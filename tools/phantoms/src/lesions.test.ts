// Lesions against closed forms: in a scan without detector noise their volume and their Hounsfield units are known.
import { lungPoints, type Blob } from './anatomy.ts';
import type { Lesions } from './lesions.ts';
import { FINDINGS, planScans, type Finding } from './plan.ts';
import { renderScan } from './render.ts';
import { sceneOf, SEED } from './scene.fixture.ts';

const classes = FINDINGS.map((finding) => `class-${finding}`);
const each = (count: number) => Object.fromEntries(classes.map((name) => [name, count]));
const plan = planScans(SEED, { train: each(1), val: each(0), test: each(0) }, { classes });
const scanOf = (finding: Finding) => plan.find((scan) => scan.finding === finding)!;

const CLEAN = { noiseHu: 0, gain: 1, offsetHu: 0, rotation: 0, shift: [0, 0] } as const;
const NONE: Lesions = { solids: [], consolidations: [] };

/** Slices of the healthy scan with these lesions in it, without noise. */
function render(lesions: Lesions, { slices = 40, size = 64 } = {}) {
  const scene = sceneOf(scanOf('healthy'), { slices, size });
  const acquisition = { ...scene.acquisition, ...CLEAN, shift: [0, 0] as [number, number] };
  return [...renderScan({ ...scene, acquisition, lungs: { ...scene.lungs, vessels: [], lesions } })];
}

const { body } = sceneOf(scanOf('healthy'));
/** The point of the lungs that is farthest from their border. */
const deepest = lungPoints(body).reduce((a, b) => (b.depth > a.depth ? b : a));

test('a solid ellipsoid inside the lung has its volume and its Hounsfield value', () => {
  const radii = [18, 14, 24] as const;
  const slices = render({ ...NONE, solids: [{ centre: deepest.at, radii, hu: 45 }] });
  const { pixel, spacing } = slices[0]!.geometry;
  const affected = slices.reduce((sum, { affectedPixels }) => sum + affectedPixels, 0);
  const volume = affected * pixel ** 2 * spacing;
  expect(deepest.depth).toBeGreaterThan(18);
  expect(volume / ((4 / 3) * Math.PI * 18 * 14 * 24)).toBeCloseTo(1, 1);
  const healthy = render(NONE);
  const changed = slices.flatMap(({ hu }, k) => [...hu].filter((value, i) => value !== healthy[k]!.hu[i]));
  expect(Math.max(...changed)).toBe(45);
  // Only pixels on its border are mixed with lung.
  expect(changed.filter((value) => value === 45).length / changed.length).toBeGreaterThan(0.4);
  expect(healthy.every(({ affectedPixels }) => affectedPixels === 0)).toBe(true);
});

test('an effusion is fluid behind a level surface at the base, and leaves the front of the lungs as it was', () => {
  const slices = render({ ...NONE, fluid: [20, 20] });
  const healthy = render(NONE);
  const k = slices.findIndex(({ geometry }) => geometry.z > 0.68 * body.height);
  const { pixel } = slices[k]!.geometry;
  const y = (i: number) => (Math.floor(i / 64) - 31.5) * pixel;
  const lung = [...slices[k]!.mask.keys()].filter((i) => slices[k]!.mask[i] === 255);
  const inside = lung.filter((i) => [-1, 1, -64, 64].every((step) => slices[k]!.mask[i + step] === 255));
  const behind = inside.filter((i) => y(i) > 20 + pixel);
  const before = lung.filter((i) => y(i) < 20 - pixel);
  expect(behind.length).toBeGreaterThan(20);
  expect(before.length).toBeGreaterThan(20);
  for (const i of behind) expect(slices[k]!.hu[i]).toBe(10);
  for (const i of before) expect(slices[k]!.hu[i]).toBe(healthy[k]!.hu[i]);
});

test('a pneumothorax fills one side with air around a lung collapsed at its hilum', () => {
  const centre = [58, 14, 0.5 * body.height] as const;
  const collapsed: Blob & { side: 1 } = { side: 1, centre, radii: [34, 46, 75] };
  const slices = render({ ...NONE, collapsed }, { slices: 20 });
  const healthy = render(NONE, { slices: 20 });
  const k = slices.findIndex(({ geometry }) => geometry.z > 0.5 * body.height);
  const { mask, hu } = slices[k]!;
  const inside = [...mask.keys()].filter((i) => [0, -1, 1, -64, 64].every((step) => mask[i + step] === 255));
  const left = inside.filter((i) => i % 64 > 32);
  const right = inside.filter((i) => i % 64 < 31);
  expect(Math.min(...left.map((i) => hu[i]!))).toBe(-1000);
  expect(Math.max(...left.map((i) => hu[i]!))).toBe(-350);
  for (const i of right) expect(hu[i]).toBe(healthy[k]!.hu[i]);
});

test('the finding alone decides which lesions a scan has; the default classes have none', () => {
  const lesionsOf = (finding: Finding) => {
    const { solids, consolidations, fluid, collapsed } = sceneOf({ ...scanOf('healthy'), finding }).lungs
      .lesions;
    return [solids.length > 0, consolidations.length > 0, fluid !== undefined, collapsed !== undefined];
  };
  for (const finding of ['covid', 'non-covid', 'healthy', 'ground-glass'] as const)
    expect(lesionsOf(finding)).toEqual([false, false, false, false]);
  for (const finding of ['masses', 'nodules', 'emphysema'] as const)
    expect(lesionsOf(finding)).toEqual([true, false, false, false]);
  expect(lesionsOf('consolidation')).toEqual([false, true, false, false]);
  expect(lesionsOf('effusion')).toEqual([false, false, true, false]);
  expect(lesionsOf('pneumothorax')).toEqual([false, false, false, true]);
});
