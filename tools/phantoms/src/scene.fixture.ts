// Scans rendered for the tests, small and without files.
import { drawAcquisition, drawBody } from './anatomy.ts';
import { drawLungs } from './lungs.ts';
import type { PlannedScan } from './plan.ts';
import { renderScan, type ScanScene } from './render.ts';
import { grainTile, smoothNoise } from './texture.ts';

export const SEED = 5;
const noise = smoothNoise(SEED, 'tissue');
export const grain = grainTile(SEED);

export function sceneOf(scan: PlannedScan, { size = 32, slices = scan.slices } = {}): ScanScene {
  const body = drawBody(SEED, scan.patient);
  return {
    body,
    lungs: drawLungs(SEED, { scan, body, noise }),
    acquisition: drawAcquisition(SEED, scan.acquisition),
    slices,
    size,
    noise,
    grain,
    grainKey: { seed: SEED, sample: scan.key },
  };
}

/** All voxels of a scan, and those of the lungs. */
export function voxelsOf(scene: ScanScene) {
  const slices = [...renderScan(scene)];
  const grey = slices.flatMap((slice) => [...slice.grey]);
  const mask = slices.flatMap((slice) => [...slice.mask]);
  const affected = slices.reduce((sum, { affectedPixels }) => sum + affectedPixels, 0);
  return { grey, mask, lung: grey.filter((_, i) => mask[i] === 255), affected };
}

export const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
