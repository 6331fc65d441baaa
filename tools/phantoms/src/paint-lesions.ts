// Paints the lesions of a finding into a slice whose lungs are filled already.
import {
  AFFECTED,
  clamp,
  ellipseDistance,
  opacityWeight,
  ramp,
  unevennessAt,
  type Body,
  type Section,
} from './anatomy.ts';
import { eachPixel, share, type Canvas } from './canvas.ts';
import type { Lesions, Side } from './lesions.ts';
import type { SmoothNoise } from './texture.ts';

// Bound to local names: Jest runs modules in a separate context, where reading a global inside the loops over pixels
// costs more than the arithmetic.
const { abs, max, sign, sqrt } = Math;

const FLUID = 10;
/** Air in the pleural cavity: without vessels or texture. */
const FREE_AIR = -1000;
const COLLAPSED_LUNG = -350;

interface LesionScene {
  body: Body;
  lesions: Lesions;
  noise: SmoothNoise;
}

/** Returns how many lung pixels became affected that were not before. */
export function paintLesions(
  canvas: Canvas,
  section: Section,
  { body, lesions, noise }: LesionScene,
): number {
  const { x: xs, y: ys, hu, lung, lungAt, lungCount, affected, scale } = canvas;
  const { z, level } = section;
  let count = 0;
  const blend = (i: number, weight: number, value: number) => {
    const part = weight * lung[i]!;
    hu[i]! += part * (value - hu[i]!);
    if (weight < AFFECTED || lung[i]! < 0.5 || affected[i] === 1) return;
    affected[i] = 1;
    count++;
  };
  const at: [number, number, number] = [0, 0, z];

  for (const { centre, radii, hu: value } of lesions.solids) {
    const rest = 1 - ((z - centre[2]) / radii[2]) ** 2;
    if (rest <= 0) continue;
    const ellipse = { x: centre[0], y: centre[1], rx: radii[0] * sqrt(rest), ry: radii[1] * sqrt(rest) };
    eachPixel(canvas, { x: ellipse.x, y: ellipse.y, reach: max(ellipse.rx, ellipse.ry) + scale }, (i) => {
      const weight = share(ellipseDistance(ellipse, xs[i]!, ys[i]!), scale);
      if (weight > 0) blend(i, weight, value);
    });
  }

  for (const region of lesions.consolidations) {
    const [x, y, middle] = region.centre;
    if (abs(z - middle) > 1.55 * region.radii[2]) continue;
    eachPixel(canvas, { x, y, reach: 1.55 * max(region.radii[0], region.radii[1]) }, (i) => {
      // Only the lung of the centre: the mediastinum separates it from the other.
      if (lung[i] === 0 || sign(xs[i]!) !== sign(x)) return;
      at[0] = xs[i]!;
      at[1] = ys[i]!;
      const weight = opacityWeight(region, at, unevennessAt(noise, body, at));
      blend(i, clamp(region.density * weight), FLUID);
    });
  }

  const { fluid, collapsed } = lesions;
  for (let n = 0; n < lungCount; n++) {
    if (fluid === undefined && collapsed === undefined) break;
    const i = lungAt[n]!;
    const x = xs[i]!;
    const y = ys[i]!;
    const side: Side = x < 0 ? -1 : 1;
    if (fluid !== undefined) {
      const back = 110 * body.depth;
      const base = fluid[side < 0 ? 0 : 1];
      // The layer becomes thinner towards the apex.
      const surface = back - (back - base) * ramp(level, 0.1, 0.65);
      const weight = share(surface - y, scale);
      if (weight > 0) blend(i, weight, FLUID);
    }
    if (collapsed?.side === side) {
      at[0] = x;
      at[1] = y;
      const stump = opacityWeight(collapsed, at, 0.3 * unevennessAt(noise, body, at));
      blend(i, 1, FREE_AIR + stump * (COLLAPSED_LUNG - FREE_AIR));
    }
  }
  return count;
}
