// The contents of the lungs at one examination: air, vessels, small nodules and ground-glass opacities, and the lesions of
// the finding.
import { randomStream, type RandomStream } from '@ct-ensemble/core';

import {
  AFFECTED,
  clamp,
  lungDistance,
  lungPoints,
  opacityWeight,
  sectionAt,
  unevennessAt,
  type Blob,
  type Body,
  type LungPoint,
  type Point,
} from './anatomy.ts';
import { drawLesions, type Lesions } from './lesions.ts';
import { between, type Finding, type PlannedScan } from './plan.ts';
import type { SmoothNoise } from './texture.ts';

// Bound to local names: Jest runs modules in a separate context, where reading a global inside the loops over pixels
// costs more than the arithmetic.
const { abs, hypot, sign, sqrt } = Math;

/** Contents of the lungs at one examination. */
export interface Lungs {
  baseHu: number;
  /** Hounsfield units added towards the back of the lungs, where blood gathers in a lying patient. */
  dependentHu: number;
  textureHu: number;
  vessels: Tube[];
  nodules: Blob[];
  opacities: Opacity[];
  lesions: Lesions;
}

/** A piece of a vessel: a straight tube. */
export interface Tube {
  from: Point;
  to: Point;
  radius: number;
}

/** A ground-glass patch. */
export interface Opacity extends Blob {
  /** Share of the air that fluid replaces, 0 … 1. */
  density: number;
}

const CLEAR = { baseHu: [-870, -800], dependentHu: [0, 80], vessels: [0.8, 1.3], nodules: 0 } as const;

// Of the default classes, lungs without Covid are more often badly inflated and congested towards the back, so that
// brightness alone does not decide; every range overlaps with that of the other class.
const LUNG_RANGES: Record<Finding, LungRanges> = {
  covid: { baseHu: [-870, -780], dependentHu: [0, 120], vessels: [0.8, 1.3], nodules: 0.15 },
  'non-covid': { baseHu: [-870, -765], dependentHu: [20, 190], vessels: [0.85, 1.4], nodules: 0.5 },
  healthy: CLEAR,
  'ground-glass': CLEAR,
  masses: CLEAR,
  effusion: CLEAR,
  emphysema: { baseHu: [-965, -930], dependentHu: [0, 25], vessels: [0.5, 0.8], nodules: 0 },
  consolidation: CLEAR,
  nodules: CLEAR,
  pneumothorax: CLEAR,
};

interface LungRanges {
  baseHu: readonly [number, number];
  dependentHu: readonly [number, number];
  /** Calibre relative to the mean. */
  vessels: readonly [number, number];
  /** Probability of a few small nodules. */
  nodules: number;
}

export function drawLungs(
  seed: number,
  options: { scan: PlannedScan; body: Body; noise: SmoothNoise },
): Lungs {
  const { scan, body, noise } = options;
  const ranges = LUNG_RANGES[scan.finding];
  const sample = `${scan.split}/${scan.class}/${scan.name}`;
  const random = randomStream({ seed, purpose: 'lungs', sample });
  const baseHu = between(random, ranges.baseHu);
  const dependentHu = between(random, ranges.dependentHu);
  const textureHu = between(random, [15, 40]);
  const tissue = lungPoints(body);
  const vessels = growVessels(random, { body, tissue, calibre: between(random, ranges.vessels) });
  const nodules = random.uniform() < ranges.nodules ? drawNodules(random, tissue) : [];
  const opacities = growOpacities(random, { body, tissue, noise, targetFraction: scan.targetFraction });
  const lesionsRandom = randomStream({ seed, purpose: 'lesions', sample });
  const lesions = drawLesions(lesionsRandom, { finding: scan.finding, body, tissue });
  return { baseHu, dependentHu, textureHu, vessels, nodules, opacities, lesions };
}

interface VesselOptions {
  body: Body;
  tissue: readonly LungPoint[];
  calibre: number;
}

/** Trees of vessels that start at each hilum, fork and become thinner towards random points of the lung. */
function growVessels(random: RandomStream, { body, tissue, calibre }: VesselOptions): Tube[] {
  const tubes: Tube[] = [];
  const grow = (from: Point, direction: Point, stem: { radius: number; length: number }) => {
    const to = along(from, direction, stem.length);
    if (stem.radius < 0.5 || lungDistance(sectionAt(body, to[2]), to[0], to[1]) > 4) return;
    tubes.push({ from, to, radius: stem.radius });
    for (let fork = 0; fork < 2; fork++) {
      const next = {
        radius: stem.radius * between(random, [0.66, 0.84]),
        length: stem.length * between(random, [0.72, 0.98]),
      };
      grow(to, turned(random, direction, 0.4), next);
    }
  };
  for (const side of [-1, 1]) {
    const hilum: Point = [side * 34 * body.width, 8 * body.depth, 0.47 * body.height];
    const targets = tissue.filter(({ at, depth }) => sign(at[0]) === side && depth < 16);
    for (let stem = 0; stem < 13; stem++) {
      const { at } = targets[random.integer(targets.length)]!;
      const way: Point = [at[0] - hilum[0], at[1] - hilum[1], at[2] - hilum[2]];
      const length = hypot(...way);
      grow(hilum, along([0, 0, 0], way, 1 / length), {
        radius: calibre * between(random, [1.7, 3.2]),
        length: length * between(random, [0.2, 0.32]),
      });
    }
  }
  return tubes;
}

function drawNodules(random: RandomStream, tissue: readonly LungPoint[]): Blob[] {
  return Array.from({ length: 1 + random.integer(3) }, () => {
    const radius = between(random, [3, 9]);
    return { centre: tissue[random.integer(tissue.length)]!.at, radii: [radius, radius, radius] };
  });
}

interface OpacityOptions {
  body: Body;
  tissue: readonly LungPoint[];
  noise: SmoothNoise;
  targetFraction: number;
}

/** Adds patches until the target fraction is affected; most lie under the pleura, at the back and low down. */
function growOpacities(random: RandomStream, options: OpacityOptions): Opacity[] {
  const { body, tissue, noise, targetFraction } = options;
  const opacities: Opacity[] = [];
  const unevenness = tissue.map(({ at }) => unevennessAt(noise, body, at));
  const affected = new Uint8Array(tissue.length);
  const density = between(random, [0.4, 0.6]);
  let count = 0;
  while (count < targetFraction * tissue.length) {
    const place = tissue[random.integer(tissue.length)]!;
    if (random.uniform() > preference(place, body)) continue;
    const size = between(random, [9, 16 + 30 * sqrt(targetFraction)]);
    const opacity: Opacity = {
      centre: place.at,
      radii: [
        size * between(random, [0.8, 1.3]),
        size * between(random, [0.8, 1.3]),
        size * between(random, [0.8, 1.5]),
      ],
      density: clamp(density + between(random, [-0.1, 0.15])),
    };
    opacities.push(opacity);
    for (let i = 0; i < tissue.length; i++) {
      if (affected[i] === 0 && opacityWeight(opacity, tissue[i]!.at, unevenness[i]!) >= AFFECTED) {
        affected[i] = 1;
        count++;
      }
    }
  }
  return opacities;
}

/** Probability that a patch drawn at this point is kept: 1 under the pleura of the lower back, low in the core and in front. */
function preference({ at, depth }: LungPoint, body: Body) {
  const peripheral = abs(at[0]) > 60 * body.width || at[1] > 45 * body.depth;
  const subpleural = peripheral && depth < 14 ? 1 : 0.12;
  const posterior = at[1] > 10 ? 1 : 0.35;
  const lower = at[2] > 0.45 * body.height ? 1 : 0.5;
  return subpleural * posterior * lower;
}

function along(from: Point, direction: Point, length: number): Point {
  return [from[0] + length * direction[0], from[1] + length * direction[1], from[2] + length * direction[2]];
}

function turned(random: RandomStream, direction: Point, amount: number): Point {
  const moved: Point = [
    direction[0] + amount * random.normal(),
    direction[1] + amount * random.normal(),
    direction[2] + amount * random.normal(),
  ];
  return along([0, 0, 0], moved, 1 / hypot(...moved));
}
