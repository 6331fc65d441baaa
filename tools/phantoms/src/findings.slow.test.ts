// Statistics of whole scans separate the classes and the findings.
import { DEFAULT_COUNTS, FINDINGS, planScans, type Finding, type PlannedScan } from './plan.ts';
import { renderScan } from './render.ts';
import { mean, sceneOf, SEED, voxelsOf } from './scene.fixture.ts';

/** Chance that a draw from `a` is above one from `b`: the area under the ROC curve, by its definition. */
const auc = (a: readonly number[], b: readonly number[]) =>
  mean(a.flatMap((x) => b.map((y) => (x > y ? 1 : x === y ? 0.5 : 0))));

test('the mean grey value hardly separates the classes, that of the lungs does to some degree', () => {
  const plan = planScans(SEED, DEFAULT_COUNTS);
  const means = plan.map((scan) => {
    const { grey, lung } = voxelsOf(sceneOf(scan));
    return { class: scan.class, all: mean(grey), lung: mean(lung) };
  });
  const covid = means.filter((scan) => scan.class === 'covid');
  const others = means.filter((scan) => scan.class === 'non-covid');
  const ofAll = auc(
    covid.map(({ all }) => all),
    others.map(({ all }) => all),
  );
  const ofLung = auc(
    covid.map(({ lung }) => lung),
    others.map(({ lung }) => lung),
  );
  expect(Math.abs(ofAll - 0.5)).toBeLessThan(0.2);
  expect(ofLung).toBeGreaterThan(0.65);
  expect(ofLung).toBeLessThan(0.92);
});

const SIZE = 64;

/** Of the voxels inside the lungs that do not touch the border: shares by Hounsfield units, and where the dense ones lie. */
function figuresOf(scan: PlannedScan) {
  let [all, dark, hazy, dense, back, edges] = [0, 0, 0, 0, 0, 0];
  const sums = [0, 0];
  const counts = [0, 0];
  for (const { hu, mask } of renderScan(sceneOf(scan, { size: SIZE, slices: 16 }))) {
    const inside = [...mask.keys()].filter((i) =>
      [0, -1, 1, -SIZE, SIZE, -2, 2, -2 * SIZE, 2 * SIZE].every((step) => mask[i + step] === 255),
    );
    const rows = inside.map((i) => Math.floor(i / SIZE));
    const middle = (Math.min(...rows) + Math.max(...rows)) / 2;
    for (const [n, i] of inside.entries()) {
      const value = hu[i]!;
      const side = i % SIZE < SIZE / 2 ? 0 : 1;
      counts[side]!++;
      sums[side]! += value;
      all++;
      if (value < -920) dark++;
      if (value > -650 && value < -250) hazy++;
      if (value < -250) continue;
      dense++;
      if (rows[n]! > middle) back++;
      edges += [-1, 1, -SIZE, SIZE].filter((step) => hu[i + step]! < -250).length;
    }
  }
  return {
    dark: dark / all,
    hazy: hazy / all,
    dense: dense / all,
    back: back / Math.max(1, dense),
    edges: edges / Math.max(1, dense),
    asymmetry: Math.abs(sums[0]! / counts[0]! - sums[1]! / counts[1]!),
  };
}

test('each finding differs from every other in the figures that describe it', () => {
  const classes = FINDINGS.map((finding) => `class-${finding}`);
  const each = (count: number) => Object.fromEntries(classes.map((name) => [name, count]));
  const plan = planScans(SEED, { train: each(4), val: each(0), test: each(0) }, { classes });
  const read = plan.map((scan) => ({ finding: scan.finding, figures: figuresOf(scan) }));
  expect(read.filter(({ finding, figures }) => findingIn(figures) !== finding)).toEqual([]);
  expect(read).toHaveLength(4 * FINDINGS.length);
});

/** Infers the finding from the statistics of a scan. */
function findingIn({ dark, hazy, dense, back, edges, asymmetry }: ReturnType<typeof figuresOf>): Finding {
  if (dark > 0.7) return 'emphysema'; // air instead of tissue in both lungs
  if (dark > 0.2 && asymmetry > 50) return 'pneumothorax'; // free air on one side
  if (hazy > 0.18) return 'ground-glass';
  if (dense < 0.028) return 'healthy';
  if (back > 0.9) return 'effusion'; // fluid gathers at the back
  if (edges > 1.2) return 'nodules'; // many small dense spots have much border
  if (back < 0.5 && dense < 0.1) return 'consolidation'; // one dense region in front
  return 'masses';
}
