// The two kinds of noise in a phantom: smooth three-dimensional noise of tissue, and the noise of the detector.
import { randomStream } from '@ct-ensemble/core';

// Bound to local names: Jest runs modules in a separate context, where reading a global inside the loops over pixels
// costs more than the arithmetic.
const { floor, sqrt } = Math;

const LATTICE = 32;
const GRAIN = 256;

/** Smooth noise at a point, about −1 … 1 with mean 0. The lattice has a spacing of 1; the noise repeats every 32 units. */
export type SmoothNoise = (x: number, y: number, z: number) => number;

/** Value noise: uniform numbers on a lattice, interpolated by cubic fades (Perlin's smoothstep). */
export function smoothNoise(seed: number, purpose: string): SmoothNoise {
  const random = randomStream({ seed, purpose });
  const lattice = Float32Array.from({ length: LATTICE ** 3 }, () => 2 * random.uniform() - 1);
  const mask = LATTICE - 1;
  return (x, y, z) => {
    const x0 = floor(x);
    const y0 = floor(y);
    const z0 = floor(z);
    const u = fade(x - x0);
    const v = fade(y - y0);
    const w = fade(z - z0);
    const left = x0 & mask;
    const right = (x0 + 1) & mask;
    const top = (y0 & mask) * LATTICE;
    const bottom = ((y0 + 1) & mask) * LATTICE;
    const near = (z0 & mask) * LATTICE * LATTICE;
    const far = ((z0 + 1) & mask) * LATTICE * LATTICE;
    const a = mix(lattice[near + top + left]!, lattice[near + top + right]!, u);
    const b = mix(lattice[near + bottom + left]!, lattice[near + bottom + right]!, u);
    const c = mix(lattice[far + top + left]!, lattice[far + top + right]!, u);
    const d = mix(lattice[far + bottom + left]!, lattice[far + bottom + right]!, u);
    return mix(mix(a, b, v), mix(c, d, v), w);
  };
}

/** A tile of detector noise, 256 × 256, mean 0, variance 1; neighbours are correlated, as after reconstruction. */
export function grainTile(seed: number): Float32Array {
  const random = randomStream({ seed, purpose: 'grain' });
  const white = Float32Array.from({ length: GRAIN * GRAIN }, random.normal);
  const at = (x: number, y: number) => white[(y & (GRAIN - 1)) * GRAIN + (x & (GRAIN - 1))]!;
  const gain = 1 / sqrt(1 + 4 * 0.4 ** 2);
  return Float32Array.from(white, (value, i) => {
    const x = i % GRAIN;
    const y = floor(i / GRAIN);
    return gain * (value + 0.4 * (at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1)));
  });
}

/** Adds the tile to an image of the given width, after shifting it by (dx, dy) pixels and scaling it by sigma. */
export function addGrain(image: Float32Array, tile: Float32Array, options: GrainOptions) {
  const { width, dx, dy, sigma } = options;
  for (let i = 0, y = 0; i < image.length; y++) {
    const row = ((y + dy) & (GRAIN - 1)) * GRAIN;
    for (let x = 0; x < width; x++, i++) image[i]! += sigma * tile[row + ((x + dx) & (GRAIN - 1))]!;
  }
}

interface GrainOptions {
  width: number;
  dx: number;
  dy: number;
  /** Standard deviation, in the unit of the image. */
  sigma: number;
}

const fade = (t: number) => t * t * (3 - 2 * t);
const mix = (a: number, b: number, t: number) => a + t * (b - a);
