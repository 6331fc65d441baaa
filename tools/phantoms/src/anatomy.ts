// The body behind a phantom scan, in millimetres: x to the right of the image (the patient's left), y to the back,
// z from the apex of the lungs (0) to their base (`height`). Everything is a closed form of a few drawn numbers.
import { randomStream } from '@ct-ensemble/core';

import { between } from './plan.ts';
import type { SmoothNoise } from './texture.ts';

// Bound to local names: Jest runs modules in a separate context, where reading a global inside the loops over pixels
// costs more than the arithmetic.
const { max, min, sqrt } = Math;

/** What belongs to the patient and is the same in all scans of the patient. */
export interface Body {
  /** Size of the chest across, relative to the mean. */
  width: number;
  /** Size of the chest from front to back, relative to the mean. */
  depth: number;
  /** Apex to base of the lungs in mm. */
  height: number;
  fat: number;
  muscle: number;
  heart: number;
  /** Level of the top of either diaphragm, as a fraction of `height`: right, left. */
  domes: [number, number];
  ribPhase: number;
  /** Offset of this patient within the smooth noise. */
  offset: number;
}

/** What depends on the scanner and on the position of the patient. */
export interface Acquisition {
  /** First and last level, as fractions of the lung height: above 0 is neck and shoulders, beyond 1 abdomen. */
  levels: [number, number];
  /** Width of the image, relative to that of the chest. */
  fieldOfView: number;
  shift: [number, number];
  /** Radians. */
  rotation: number;
  offsetHu: number;
  gain: number;
  noiseHu: number;
}

/** An ellipsoid whose axes are those of the body. */
export interface Blob {
  centre: Point;
  radii: Point;
}

export type Point = readonly [number, number, number];

/** The outlines of the organs at one level. */
export interface Section {
  z: number;
  /** z as a fraction of the lung height. */
  level: number;
  body: Ellipse;
  /** Inner outline of the rib cage. */
  cavity: Ellipse;
  /** Right lung (left in the image) and left lung, before mediastinum, heart and spine are cut out of them. */
  lungs: readonly [Ellipse, Ellipse];
  mediastinum: Ellipse;
  heart: Ellipse | undefined;
  spine: Ellipse;
  aorta: Ellipse | undefined;
  height: number;
  domes: readonly [number, number];
}

export interface Ellipse {
  x: number;
  y: number;
  rx: number;
  ry: number;
}

export function drawBody(seed: number, patient: string): Body {
  const random = randomStream({ seed, purpose: 'body', sample: patient });
  return {
    width: between(random, [0.9, 1.1]),
    depth: between(random, [0.88, 1.12]),
    height: between(random, [200, 250]),
    fat: between(random, [7, 26]),
    muscle: between(random, [14, 22]),
    heart: between(random, [0.9, 1.15]),
    domes: [between(random, [0.66, 0.74]), between(random, [0.71, 0.79])],
    ribPhase: random.uniform(),
    offset: random.integer(1 << 16),
  };
}

/** Drawn without the class, so that nothing here can reveal it. */
export function drawAcquisition(seed: number, key: string): Acquisition {
  const random = randomStream({ seed, purpose: 'acquisition', sample: key });
  return {
    levels: [between(random, [-0.17, -0.06]), between(random, [1.03, 1.15])],
    fieldOfView: between(random, [1.06, 1.2]),
    shift: [between(random, [-10, 10]), between(random, [-10, 10])],
    rotation: between(random, [-0.1, 0.1]),
    offsetHu: between(random, [-25, 25]),
    gain: between(random, [0.96, 1.04]),
    noiseHu: between(random, [12, 40]),
  };
}

export function sectionAt(body: Body, z: number): Section {
  const { width, depth } = body;
  const level = z / body.height;
  const open = clamp(level / 0.5);
  const growth = sqrt(1 - (1 - open) ** 2);
  const lung = (side: -1 | 1): Ellipse => ({
    x: side * (30 + 39 * growth) * width,
    y: (16 - 12 * growth + 6 * ramp(level, 0.5, 1)) * depth,
    rx: (side < 0 ? 63 : 60) * growth * width,
    ry: 86 * growth * depth,
  });
  const shoulders = 1 - ramp(level, -0.15, 0.3);
  const wall = body.fat + body.muscle;
  const heartSpan = 1 - ((level - 0.73) / 0.27) ** 2;
  const heartSize = heartSpan > 0 ? sqrt(heartSpan) * body.heart : 0;
  const aorta = level < 0.27 || level > 1.3 ? undefined : descendingAorta(body);
  return {
    z,
    level,
    body: {
      x: 0,
      y: 4 + 14 * shoulders,
      rx: (134 + 26 * shoulders) * width + wall,
      ry: (93 - 22 * shoulders) * depth + 0.8 * wall,
    },
    cavity: {
      x: 0,
      y: 6 * depth + 8 * (1 - growth),
      rx: (62 + 72 * growth) * width,
      ry: (34 + 56 * growth) * depth,
    },
    lungs: [lung(-1), lung(1)],
    mediastinum: {
      x: 2 + 4 * ramp(level, 0.2, 0.4),
      y: -20 * depth * growth + 4,
      rx: (19 + 12 * ramp(level, 0.1, 0.45)) * width,
      ry: (36 + 28 * growth) * depth,
    },
    heart:
      heartSize > 0
        ? { x: 20 * width, y: -26 * depth, rx: 58 * heartSize * width, ry: 50 * heartSize * depth }
        : undefined,
    spine: { x: 0, y: 58 * depth, rx: 27 * width, ry: 27 * depth },
    aorta,
    height: body.height,
    domes: body.domes,
  };
}

/** Approximate signed distance to the border of the lung in mm, negative inside. */
export function lungDistance(section: Section, x: number, y: number): number {
  const { level } = section;
  if (level <= 0 || level >= 1.1) return 100;
  const side = x < 0 ? 0 : 1;
  const lung = section.lungs[side]!;
  // The lung is wider at the back than in front.
  const taper = 1 + (0.16 * (y - lung.y)) / (lung.ry + 1);
  let d = ellipseDistance(lung, lung.x + (x - lung.x) / taper, y);
  if (d > 12) return d;
  d = max(d, -ellipseDistance(section.mediastinum, x, y), -ellipseDistance(section.spine, x, y));
  if (section.heart !== undefined) d = max(d, -ellipseDistance(section.heart, x, y));
  if (section.aorta !== undefined) d = max(d, -ellipseDistance(section.aorta, x, y));
  const dome = section.domes[side]!;
  const u = (x - lung.x) / (0.97 * lung.rx);
  const v = (y - lung.y + 24) / lung.ry;
  const floor = dome + (1 - dome) * min(1.02, u * u + v * v);
  return max(d, 0.6 * (level - floor) * section.height);
}

/** Signed distance to an ellipse along the ray from its centre: exact on the border, negative inside. */
export function ellipseDistance(ellipse: Ellipse, x: number, y: number): number {
  const dx = x - ellipse.x;
  const dy = y - ellipse.y;
  const u = dx / ellipse.rx;
  const v = dy / ellipse.ry;
  const rho = sqrt(u * u + v * v);
  return rho < 1e-6 ? -min(ellipse.rx, ellipse.ry) : (sqrt(dx * dx + dy * dy) * (rho - 1)) / rho;
}

/** How far a point lies inside an opacity, 0 … 1; the noise makes the border irregular. */
export function opacityWeight(opacity: Blob, [x, y, z]: Point, unevenness: number): number {
  const u = (x - opacity.centre[0]) / opacity.radii[0];
  const v = (y - opacity.centre[1]) / opacity.radii[1];
  const w = (z - opacity.centre[2]) / opacity.radii[2];
  return ramp(1.15 - sqrt(u * u + v * v + w * w) + 0.4 * unevenness, 0, 0.45);
}

/** A voxel counts as affected if its weight is at least this. */
export const AFFECTED = 0.5;

/** Smooth noise that makes the borders of opacities irregular, at a point of this body. */
export function unevennessAt(noise: SmoothNoise, body: Body, [x, y, z]: Point) {
  return noise(x / 11 + body.offset, y / 11, z / 11);
}

export const clamp = (value: number) => min(1, max(0, value));

/** 0 below `from`, 1 above `to`, smooth between. */
export function ramp(value: number, from: number, to: number) {
  const t = clamp((value - from) / (to - from));
  return t * t * (3 - 2 * t);
}

export interface LungPoint {
  at: Point;
  /** Distance to the border in mm. */
  depth: number;
}

/** A regular grid of points inside the lungs, 8 mm apart. */
export function lungPoints(body: Body): LungPoint[] {
  const step = 8;
  const points: LungPoint[] = [];
  for (let z = step / 2; z < body.height; z += step) {
    const section = sectionAt(body, z);
    for (let y = -120; y <= 120; y += step)
      for (let x = -160; x <= 160; x += step) {
        const depth = -lungDistance(section, x, y);
        if (depth > 0) points.push({ at: [x, y, z], depth });
      }
  }
  return points;
}

function descendingAorta(body: Body): Ellipse {
  return { x: 25 * body.width, y: 40 * body.depth, rx: 12, ry: 12 };
}
