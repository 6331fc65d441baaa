// The body behind a phantom scan, in millimetres: x to the right of the image (the patient's left), y to the back,
// z from the apex of the lungs (0) to their base (`height`). Everything is a closed form of a few drawn numbers.
import { randomStream, type RandomStream } from '@ct-ensemble/core';

import { between, type Class, type PlannedScan } from './plan.ts';
import type { SmoothNoise } from './texture.ts';

// Looked up once: in the loops over pixels a global costs more than the arithmetic where modules run in a context of
// their own, as in tests.
const { abs, hypot, max, min, sign, sqrt } = Math;

/** What belongs to the patient and is the same in both of his or her scans. */
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
  /** Where in the smooth noise this patient lies. */
  offset: number;
}

/** What the scanner and the moment decide. */
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

/** What the lungs look like at this examination. */
export interface Lungs {
  baseHu: number;
  /** Added towards the back of the lungs, where blood gathers in a lying patient. */
  dependentHu: number;
  textureHu: number;
  vessels: Tube[];
  nodules: Blob[];
  opacities: Opacity[];
}

/** A piece of a vessel: a straight tube. */
export interface Tube {
  from: Point;
  to: Point;
  radius: number;
}

/** An ellipsoid along the axes. */
export interface Blob {
  centre: Point;
  radii: Point;
}

/** A ground-glass patch. */
export interface Opacity extends Blob {
  /** 0 … 1: how far it takes air-filled lung towards soft tissue. */
  density: number;
}

export type Point = readonly [number, number, number];

/** The outlines at one level, ready to be asked pixel by pixel. */
export interface Section {
  z: number;
  /** z as a fraction of the lung height. */
  level: number;
  body: Ellipse;
  /** The rib cage from within. */
  cavity: Ellipse;
  /** Right lung (left in the image), left lung: without what is cut out of them. */
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

/** Does not know the class: nothing here can tell it. */
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

// Lungs without Covid are more often badly inflated and congested towards the back, so that brightness alone does not
// decide; every range overlaps with that of the other class.
const LUNG_RANGES = {
  covid: { baseHu: [-870, -780], dependentHu: [0, 120], vessels: [0.8, 1.3], nodules: 0.15 },
  'non-covid': { baseHu: [-870, -765], dependentHu: [20, 190], vessels: [0.85, 1.4], nodules: 0.5 },
} as const satisfies Record<Class, unknown>;

export function drawLungs(
  seed: number,
  options: { scan: PlannedScan; body: Body; noise: SmoothNoise },
): Lungs {
  const { scan, body, noise } = options;
  const ranges = LUNG_RANGES[scan.class];
  const random = randomStream({ seed, purpose: 'lungs', sample: `${scan.split}/${scan.class}/${scan.name}` });
  const baseHu = between(random, ranges.baseHu);
  const dependentHu = between(random, ranges.dependentHu);
  const textureHu = between(random, [15, 40]);
  const tissue = lungPoints(body);
  const vessels = growVessels(random, { body, tissue, calibre: between(random, ranges.vessels) });
  const nodules = random.uniform() < ranges.nodules ? drawNodules(random, tissue) : [];
  const opacities = growOpacities(random, { body, tissue, noise, targetFraction: scan.targetFraction });
  return { baseHu, dependentHu, textureHu, vessels, nodules, opacities };
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

/** Signed distance to the lung's border in mm, about: negative within. */
export function lungDistance(section: Section, x: number, y: number): number {
  const { level } = section;
  if (level <= 0 || level >= 1.1) return 100;
  const side = x < 0 ? 0 : 1;
  const lung = section.lungs[side]!;
  // Wider at the back than in front.
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

/** Signed distance to an ellipse along the ray from its centre: exact on the border, negative within. */
export function ellipseDistance(ellipse: Ellipse, x: number, y: number): number {
  const dx = x - ellipse.x;
  const dy = y - ellipse.y;
  const u = dx / ellipse.rx;
  const v = dy / ellipse.ry;
  const rho = sqrt(u * u + v * v);
  return rho < 1e-6 ? -min(ellipse.rx, ellipse.ry) : (sqrt(dx * dx + dy * dy) * (rho - 1)) / rho;
}

/** How strongly a point is inside an opacity, 0 … 1, its border frayed by the noise. */
export function opacityWeight(opacity: Blob, [x, y, z]: Point, unevenness: number): number {
  const u = (x - opacity.centre[0]) / opacity.radii[0];
  const v = (y - opacity.centre[1]) / opacity.radii[1];
  const w = (z - opacity.centre[2]) / opacity.radii[2];
  return ramp(1.15 - sqrt(u * u + v * v + w * w) + 0.4 * unevenness, 0, 0.45);
}

/** A voxel counts as affected from this weight on. */
export const AFFECTED = 0.5;

/** Smooth noise that frays the opacities, at a point of this body. */
export function unevennessAt(noise: SmoothNoise, body: Body, [x, y, z]: Point) {
  return noise(x / 11 + body.offset, y / 11, z / 11);
}

export const clamp = (value: number) => min(1, max(0, value));

/** 0 below `from`, 1 above `to`, smooth between. */
export function ramp(value: number, from: number, to: number) {
  const t = clamp((value - from) / (to - from));
  return t * t * (3 - 2 * t);
}

interface LungPoint {
  at: Point;
  /** Distance to the border in mm. */
  depth: number;
}

/** A regular grid of points inside the lungs, 8 mm apart. */
function lungPoints(body: Body): LungPoint[] {
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

interface VesselOptions {
  body: Body;
  tissue: readonly LungPoint[];
  calibre: number;
}

/** Trees of vessels from either hilum towards random places of the lung, forking and thinning on the way. */
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

/** Adds patches, most of them under the pleura, at the back and low down, until the target fraction is affected. */
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

/** Chance that a patch drawn here stays: 1 under the pleura of the lower back, little in the core or in front. */
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
