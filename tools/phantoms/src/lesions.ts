// The lesions of each finding of `plan.ts`. They are large enough to remain visible after a scan is reduced to
// 16 × 32 × 32 voxels.
import type { RandomStream } from '@ct-ensemble/core';

import { sectionAt, type Blob, type Body, type LungPoint, type Point } from './anatomy.ts';
import { between, type Finding } from './plan.ts';

const { sign } = Math;

export interface Lesions {
  /** Ellipsoids filled with one Hounsfield value. */
  solids: readonly Solid[];
  /** Regions of partly filled air spaces, 0 … 1 = air … fluid. */
  consolidations: readonly (Blob & { density: number })[];
  /** Pleural effusion: y of the surface of the fluid at the base of the right and of the left lung; undefined: none. */
  fluid?: readonly [number, number];
  /** Pneumothorax: a lung collapsed to an ellipsoid at its hilum; undefined: none. */
  collapsed?: Blob & { side: Side };
}

export interface Solid extends Blob {
  hu: number;
}

/** −1: right lung (left in the image), 1: left lung. */
export type Side = -1 | 1;

interface LesionOptions {
  finding: Finding;
  body: Body;
  /** Points inside the lungs. */
  tissue: readonly LungPoint[];
}

const NONE: Lesions = { solids: [], consolidations: [] };

export function drawLesions(random: RandomStream, options: LesionOptions): Lesions {
  const { finding, body, tissue } = options;
  switch (finding) {
    case 'covid':
    case 'non-covid':
    case 'healthy':
    case 'ground-glass': // its opacities are grown to a share of the lungs, like those of Covid
      return NONE;
    case 'masses': {
      const places = tissue.filter(({ depth }) => depth > 14);
      return {
        ...NONE,
        solids: [
          ...drawSolids(random, { places, count: 2, radius: [32, 44], hu: 45 }),
          ...drawSolids(random, { places, count: 2 + random.integer(3), radius: [18, 28], hu: 45 }),
        ],
      };
    }
    case 'nodules':
      return {
        ...NONE,
        solids: drawSolids(random, {
          places: tissue,
          count: 90 + random.integer(50),
          radius: [8, 12],
          hu: 30,
        }),
      };
    case 'emphysema':
      return {
        ...NONE,
        solids: drawSolids(random, {
          places: tissue.filter(({ at }) => at[2] < 0.6 * body.height),
          count: 12 + random.integer(10),
          radius: [10, 22],
          hu: -992,
        }),
      };
    case 'consolidation':
      return { ...NONE, consolidations: [drawConsolidation(random, { body, tissue })] };
    case 'effusion':
      return { ...NONE, fluid: [drawSurface(random, body), drawSurface(random, body)] };
    case 'pneumothorax': {
      const side = drawSide(random);
      const size = between(random, [0.85, 1.15]);
      const centre: Point = [side * 58 * body.width, 14 * body.depth, 0.55 * body.height];
      return { ...NONE, collapsed: { side, centre, radii: [34 * size, 46 * size, 75 * size] } };
    }
    default:
      return finding satisfies never;
  }
}

interface SolidOptions {
  places: readonly LungPoint[];
  count: number;
  /** Range in mm. */
  radius: readonly [number, number];
  hu: number;
}

function drawSolids(random: RandomStream, { places, count, radius, hu }: SolidOptions): Solid[] {
  return Array.from({ length: count }, () => {
    const r = between(random, radius);
    return { centre: places[random.integer(places.length)]!.at, radii: [r, r, r], hu };
  });
}

/** One dense region in the front of the upper half of one lung. */
function drawConsolidation(random: RandomStream, { body, tissue }: Omit<LesionOptions, 'finding'>) {
  const side = drawSide(random);
  const places = tissue.filter(
    ({ at }) =>
      sign(at[0]) === side && at[1] < -10 && at[2] > 0.25 * body.height && at[2] < 0.5 * body.height,
  );
  return {
    centre: places[random.integer(places.length)]!.at,
    radii: [
      between(random, [40, 58]),
      between(random, [45, 62]),
      between(random, [40, 60]),
    ] as const satisfies Point,
    density: between(random, [0.88, 0.97]),
  };
}

/** The fluid takes up about a quarter to a half of the lung's extent from back to front at its base. */
function drawSurface(random: RandomStream, body: Body): number {
  const lung = sectionAt(body, 0.7 * body.height).lungs[0];
  return lung.y + lung.ry * between(random, [0, 0.45]);
}

const drawSide = (random: RandomStream): Side => (random.integer(2) === 0 ? -1 : 1);
