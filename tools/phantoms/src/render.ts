// Renders the slices of a phantom scan: from the body in millimetres to Hounsfield units and grey values of pixels.
import { randomStream } from '@ct-ensemble/core';

import {
  AFFECTED,
  clamp,
  lungDistance,
  opacityWeight,
  ramp,
  sectionAt,
  unevennessAt,
  type Acquisition,
  type Blob,
  type Body,
  type Ellipse,
  type Section,
} from './anatomy.ts';
import { eachPixel, newCanvas, paintEllipse, share, type Canvas, type Organ } from './canvas.ts';
import type { Lungs, Tube } from './lungs.ts';
import { paintLesions } from './paint-lesions.ts';
import { addGrain, type SmoothNoise } from './texture.ts';

// Bound to local names: Jest runs modules in a separate context, where reading a global inside the loops over pixels
// costs more than the arithmetic.
const { abs, floor, hypot, max, min, round, sqrt } = Math;

export interface ScanScene {
  body: Body;
  lungs: Lungs;
  acquisition: Acquisition;
  slices: number;
  /** Width and height in pixels. */
  size: number;
  noise: SmoothNoise;
  grain: Float32Array;
  /** Key of the detector noise of this scan. */
  grainKey: { seed: number; sample: string };
}

export interface RenderedSlice {
  /** Hounsfield units, `size` × `size`, row by row. */
  hu: Int16Array;
  geometry: SliceGeometry;
  /** Grey values, `size` × `size`, row by row: HU = v / 255 · 1500 − 1150. */
  grey: Uint8Array;
  /** 255 where at least half of the pixel is lung, else 0. */
  mask: Uint8Array;
  lungPixels: number;
  /** Lung pixels inside an opacity or a lesion. */
  affectedPixels: number;
}

/** In millimetres. */
export interface SliceGeometry {
  /** Depth of the slice below the apex of the lungs. */
  z: number;
  /** Width and height of a pixel. */
  pixel: number;
  /** Distance between the centres of neighbouring slices. */
  spacing: number;
  /** Thickness that the slice averages over. */
  thickness: number;
}

const AIR = -1000;
const SKIN = 0;
const FAT = -100;
const MUSCLE = 50;
const BLOOD = 45;
const LIVER = 65;
const MARROW = 180;
const BONE = 550;
/** Hounsfield units of lung whose air is replaced by fluid completely. */
const FLUID = 10;

/** Renders one slice after the other, starting at the apex of the lungs. */
export function* renderScan(scene: ScanScene): Generator<RenderedSlice> {
  const canvas = newCanvas(scene);
  const { body, acquisition, slices } = scene;
  const random = randomStream({ purpose: 'grain offsets', ...scene.grainKey });
  const [first, last] = acquisition.levels;
  const spacing = ((last - first) * body.height) / slices;
  for (let k = 0; k < slices; k++) {
    const section = sectionAt(body, first * body.height + (k + 0.5) * spacing);
    paintTissue(canvas, section, scene);
    for (const organ of organsAt(section, body)) paintEllipse(canvas, organ);
    let affectedPixels = paintLungs(canvas, section, scene);
    // A slice averages over its thickness, here at most 5 mm.
    const thickness = min(spacing, 5);
    paintVessels(canvas, scene.lungs.vessels, { z: section.z, half: thickness / 2 });
    for (const nodule of scene.lungs.nodules) paintNodule(canvas, nodule, section.z);
    affectedPixels += paintLesions(canvas, section, {
      body,
      lesions: scene.lungs.lesions,
      noise: scene.noise,
    });
    const { noiseHu, gain, offsetHu } = acquisition;
    addGrain(canvas.hu, scene.grain, {
      width: scene.size,
      dx: random.integer(256),
      dy: random.integer(256),
      sigma: noiseHu,
    });
    let lungPixels = 0;
    // New arrays for every slice, because the encoder reads them while the next slice is painted. A loop, because
    // `Array.from` and `reduce` take seconds here.
    const hu = new Int16Array(canvas.hu.length);
    const grey = new Uint8Array(canvas.hu.length);
    const mask = new Uint8Array(canvas.hu.length);
    for (let i = 0; i < grey.length; i++) {
      const value = gain * (canvas.hu[i]! - AIR) + AIR + offsetHu;
      hu[i] = round(value);
      grey[i] = greyOf(value);
      if (canvas.lung[i]! >= 0.5) {
        mask[i] = 255;
        lungPixels++;
      }
    }
    const geometry = { z: section.z, pixel: canvas.scale, spacing, thickness };
    yield { hu, geometry, grey, mask, lungPixels, affectedPixels };
  }
}

/** Grey value of a Hounsfield value in the window of COV19-CT-DB, −1150 … 350. */
export function greyOf(hu: number) {
  return round(255 * clamp((hu + 1150) / 1500));
}

/** Paints air, table, skin, fat, muscle, ribs and the soft tissue of chest and abdomen; sets the share of lung. */
function paintTissue(canvas: Canvas, section: Section, { body, noise }: ScanScene) {
  const { x: xs, y: ys, hu, lung, scale } = canvas;
  const { level, z } = section;
  const chest = sectionAt(body, 0.5 * body.height).body;
  const table = chest.y + chest.ry + 9;
  const abdomen = ramp(level, 0.85, 1.05);
  canvas.lungCount = 0;
  for (let i = 0; i < hu.length; i++) {
    const x = xs[i]!;
    const y = ys[i]!;
    lung[i] = 0;
    const outside = outlineDistance(section.body, x, y);
    if (outside > scale) {
      const below = y - table - (x * x) / 1900;
      hu[i] = AIR + 650 * (share(abs(below) - 1.5, scale) + share(abs(below - 16) - 2, scale));
      continue;
    }
    const unevenness = noise(x / 20 + body.offset, y / 20, z / 20);
    const fat = body.fat * (1 + 0.35 * unevenness);
    const within = outlineDistance(section.cavity, x, y);
    let tissue = MUSCLE;
    if (within < 0) {
      const organ = x < 22 ? LIVER : MUSCLE + (FAT - MUSCLE) * abdomen;
      tissue = level > section.domes[x < 0 ? 0 : 1]! ? organ : 5 + 35 * unevenness;
    } else if (-outside < fat + 3) {
      tissue = FAT + (SKIN - FAT) * share(-outside - 3, scale);
    } else {
      // There is fat between the muscles.
      tissue = MUSCLE - 110 * ramp(unevenness, 0.45, 0.75);
      if (level > 0.02 && within < 11) tissue += ribShare({ x, y, z }, within, body) * (BONE - tissue);
    }
    const border = lungDistance(section, x, y) + 2.5 * unevenness;
    const air = share(border, scale);
    if (air > 0) {
      lung[i] = air;
      canvas.lungAt[canvas.lungCount++] = i;
    }
    hu[i] = AIR + (tissue - AIR) * share(outside, scale);
  }
}

/** Ribs run down from the spine to the front, so that a slice cuts several of them, each at another angle. */
function ribShare({ x, y, z }: { x: number; y: number; z: number }, within: number, body: Body) {
  const drop = 55 * ramp(-y, -90 * body.depth, 70 * body.depth);
  const phase = (z - drop) / 27 + body.ribPhase + (x < 0 ? 0.06 : 0);
  const across = abs(phase - floor(phase) - 0.5) * 27;
  return ramp(7.5 - across, 0, 2) * ramp(5 - abs(within - 5), 0, 2);
}

/** Bones, great vessels, airways, heart and upper abdomen at this level, in the order in which they are painted. */
function organsAt(section: Section, body: Body): Organ[] {
  const { level, z } = section;
  const w = body.width;
  const d = body.depth;
  const organs: Organ[] = [];
  const add = (hu: number, ellipse: Ellipse, angle = 0) => organs.push({ ...ellipse, hu, angle });
  const both = (hu: number, ellipse: Ellipse, angle = 0) => {
    add(hu, ellipse, angle);
    add(hu, { ...ellipse, x: -ellipse.x }, -angle);
  };
  if (section.heart !== undefined) add(BLOOD, section.heart);
  if (level > 0.24 && level < 0.35) add(BLOOD, { x: 9 * w, y: -6 * d, rx: 13, ry: 34 * d }, 0.35);
  if (level >= 0.35 && level < 0.66) add(BLOOD, { x: -9 * w, y: -34 * d, rx: 16, ry: 16 });
  if (level >= 0.4 && level < 0.62) add(BLOOD, { x: 16 * w, y: -30 * d, rx: 13, ry: 19 }, 0.5);
  if (level > 0.44 && level < 0.56) both(BLOOD, { x: 30 * w, y: 4 * d, rx: 17, ry: 8 }, -0.3);
  if (level > 0.15 && level < 0.66) add(BLOOD, { x: -24 * w, y: -20 * d, rx: 8, ry: 10 });
  if (level < 0.25) both(BLOOD, { x: 17 * w, y: -8 * d, rx: 6, ry: 6 });
  if (section.aorta !== undefined) add(BLOOD, section.aorta);

  if (level > 0.93) {
    const size = ramp(level, 0.9, 1.15);
    add(55, { x: 92 * w, y: 34 * d, rx: 30 * size, ry: 42 * size }, 0.4);
    add(30, { x: 58 * w, y: -34 * d, rx: 46 * size, ry: 32 * size });
    add(-950, { x: 60 * w, y: -46 * d, rx: 32 * size, ry: 15 * size });
  }

  const disc = abs((z / 28 + body.ribPhase) % 1) < 0.25;
  const spine = section.spine;
  add(disc ? 250 : BONE, { x: 0, y: spine.y, rx: 20 * w, ry: 17 * d });
  add(disc ? 90 : MARROW, { x: 0, y: spine.y, rx: 17 * w, ry: 14 * d });
  add(BONE, { x: 0, y: spine.y + 26 * d, rx: 15 * w, ry: 12 * d });
  both(BONE, { x: 24 * w, y: spine.y + 25 * d, rx: 16 * w, ry: 4.5 }, -0.35);
  add(BONE - 100, { x: 0, y: spine.y + 44 * d, rx: 3.5, ry: 11 * d });
  add(20, { x: 0, y: spine.y + 25 * d, rx: 9 * w, ry: 8 * d });

  const front = section.cavity.y - section.cavity.ry;
  if (level > 0.08 && level < 0.8) {
    add(BONE, { x: 0, y: front - 5, rx: 21 * w, ry: 6.5 });
    add(MARROW, { x: 0, y: front - 5, rx: 17 * w, ry: 3.5 });
  }
  if (level > -0.1 && level < 0.1) both(BONE, { x: 60 * w, y: front - 8, rx: 38 * w, ry: 6 }, -0.25);
  if (level < 0.52) both(BONE, { x: (112 - 20 * level) * w, y: 72 * d, rx: 36 * w, ry: 4.5 }, -0.75);
  if (level < 0.04) {
    both(BONE, { x: 148 * w, y: 26 * d, rx: 22, ry: 22 });
    both(MARROW + 60, { x: 148 * w, y: 26 * d, rx: 18, ry: 18 });
  }

  if (level < 0.41) {
    add(60, { x: 0, y: 12 * d, rx: 10.5, ry: 11 });
    add(-980, { x: 0, y: 12 * d, rx: 8.5, ry: 9 });
  } else if (level < 0.53) {
    const away = 8 + 190 * (level - 0.41);
    both(60, { x: away * w, y: 15 * d, rx: 9, ry: 8 });
    both(-980, { x: away * w, y: 15 * d, rx: 7, ry: 6 });
  }
  return organs;
}

/** Fills the lungs with air and opacities; returns the number of lung pixels inside an opacity. */
function paintLungs(canvas: Canvas, section: Section, { body, lungs, noise }: ScanScene): number {
  const { x: xs, y: ys, hu, lung, lungAt, lungCount, opacity, affected } = canvas;
  const { z } = section;
  const reached = lungs.opacities.filter(({ centre, radii }) => abs(z - centre[2]) < 1.55 * radii[2]);
  const unevenness = new Float32Array(reached.length > 0 ? hu.length : 0);
  const at: [number, number, number] = [0, 0, z];
  for (let n = 0; n < lungCount; n++) {
    const i = lungAt[n]!;
    opacity[i] = affected[i] = 0;
    if (reached.length === 0) continue;
    at[0] = xs[i]!;
    at[1] = ys[i]!;
    unevenness[i] = unevennessAt(noise, body, at);
  }
  for (const patch of reached) {
    const [x, y] = patch.centre;
    eachPixel(canvas, { x, y, reach: 1.55 * max(patch.radii[0], patch.radii[1]) }, (i) => {
      if (lung[i] === 0) return;
      at[0] = xs[i]!;
      at[1] = ys[i]!;
      const weight = opacityWeight(patch, at, unevenness[i]!);
      opacity[i] = max(opacity[i]!, patch.density * weight);
      if (weight >= AFFECTED) affected[i] = 1;
    });
  }
  let count = 0;
  const back = 78 * body.depth;
  for (let n = 0; n < lungCount; n++) {
    const i = lungAt[n]!;
    const x = xs[i]!;
    const y = ys[i]!;
    const texture = lungs.textureHu * noise(x / 7, y / 7 + body.offset, z / 7);
    const healthy = lungs.baseHu + texture + lungs.dependentHu * ramp(y, back - 75, back);
    const mottled = clamp(opacity[i]! * (1 + 0.3 * noise(x / 5, y / 5, z / 5 + body.offset)));
    hu[i]! += lung[i]! * (healthy + mottled * (FLUID - healthy) - hu[i]!);
    if (affected[i] === 1 && lung[i]! >= 0.5) count++;
  }
  return count;
}

function paintVessels(canvas: Canvas, tubes: readonly Tube[], slab: { z: number; half: number }) {
  const { x: xs, y: ys, hu, lung, scale } = canvas;
  for (const { from, to, radius } of tubes) {
    const low = slab.z - slab.half - radius;
    const high = slab.z + slab.half + radius;
    const rise = to[2] - from[2];
    if (max(from[2], to[2]) < low || min(from[2], to[2]) > high) continue;
    // The part of the tube's axis that runs inside the slab, as fractions of its length.
    const atLow = abs(rise) < 1e-6 ? 0 : clamp((low - from[2]) / rise);
    const atHigh = abs(rise) < 1e-6 ? 1 : clamp((high - from[2]) / rise);
    const start = min(atLow, atHigh);
    const run = abs(atHigh - atLow);
    const ax = from[0] + start * (to[0] - from[0]);
    const ay = from[1] + start * (to[1] - from[1]);
    const bx = run * (to[0] - from[0]);
    const by = run * (to[1] - from[1]);
    const square = bx * bx + by * by + 1e-9;
    // A tube thinner than a pixel or than the slab contributes in proportion, unless it is perpendicular to the slab.
    const upright = abs(rise) / hypot(to[0] - from[0], to[1] - from[1], rise);
    const strength = min(1, (2 * radius) / scale) * max(upright, min(1, radius / slab.half));
    const half = max(radius, scale / 2);
    const reach = sqrt(square) / 2 + half + scale;
    eachPixel(canvas, { x: ax + bx / 2, y: ay + by / 2, reach }, (i) => {
      if (lung[i] === 0) return;
      const dx = xs[i]! - ax;
      const dy = ys[i]! - ay;
      const t = clamp((dx * bx + dy * by) / square);
      const distance = hypot(dx - t * bx, dy - t * by);
      const inside = strength * lung[i]! * share(distance - half, scale);
      if (inside > 0 && hu[i]! < BLOOD) hu[i]! += inside * (BLOOD - hu[i]!);
    });
  }
}

function paintNodule(canvas: Canvas, { centre, radii }: Blob, z: number) {
  const square = radii[0] ** 2 - (z - centre[2]) ** 2;
  if (square <= 0) return;
  const r = sqrt(square);
  paintEllipse(canvas, { x: centre[0], y: centre[1], rx: r, ry: r, hu: 30 });
}

/** Signed distance to an outline halfway between an ellipse and a rounded box. */
function outlineDistance(ellipse: Ellipse, x: number, y: number) {
  const dx = x - ellipse.x;
  const dy = y - ellipse.y;
  const u2 = (dx / ellipse.rx) ** 2;
  const v2 = (dy / ellipse.ry) ** 2;
  const rho = 0.5 * (sqrt(u2 + v2) + sqrt(sqrt(u2 * u2 + v2 * v2)));
  return rho < 1e-6 ? -min(ellipse.rx, ellipse.ry) : (sqrt(dx * dx + dy * dy) * (rho - 1)) / rho;
}
