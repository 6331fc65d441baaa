// The pixel grid of one scan, and the functions that all painting code shares.
import { clamp, ellipseDistance, sectionAt, type Acquisition, type Body, type Ellipse } from './anatomy.ts';

// Bound to local names: Jest runs modules in a separate context, where reading a global inside the loops over pixels
// costs more than the arithmetic.
const { ceil, floor, max, min } = Math;

export interface Canvas {
  size: number;
  /** Millimetres per pixel. */
  scale: number;
  /** Body coordinates of every pixel. */
  x: Float32Array;
  y: Float32Array;
  hu: Float32Array;
  /** Share of the pixel that is lung, 0 … 1. */
  lung: Float32Array;
  /** Indices of the pixels that are lung at least in part; only the first `lungCount` entries are valid. */
  lungAt: Int32Array;
  lungCount: number;
  /** Share of the air that fluid replaces, 0 … 1, and whether a pixel is affected; valid for lung pixels only. */
  opacity: Float32Array;
  affected: Uint8Array;
  /** Column and row of a point of the body. */
  pixelOf(x: number, y: number): readonly [number, number];
}

export function newCanvas({
  size,
  body,
  acquisition,
}: {
  size: number;
  body: Body;
  acquisition: Acquisition;
}): Canvas {
  const { fieldOfView, rotation, shift } = acquisition;
  const scale = (fieldOfView * 2 * sectionAt(body, 0.5 * body.height).body.rx) / size;
  const cos = Math.cos(rotation);
  const sin = Math.sin(rotation);
  const centre = (size - 1) / 2;
  const pixels = size * size;
  const x = new Float32Array(pixels);
  const y = new Float32Array(pixels);
  for (let i = 0; i < pixels; i++) {
    const px = ((i % size) - centre) * scale - shift[0];
    const py = (floor(i / size) - centre) * scale - shift[1];
    x[i] = cos * px + sin * py;
    y[i] = cos * py - sin * px;
  }
  return {
    size,
    scale,
    x,
    y,
    hu: new Float32Array(pixels),
    lung: new Float32Array(pixels),
    lungAt: new Int32Array(pixels),
    lungCount: 0,
    opacity: new Float32Array(pixels),
    affected: new Uint8Array(pixels),
    pixelOf: (bx, by) => [
      centre + (cos * bx - sin * by + shift[0]) / scale,
      centre + (sin * bx + cos * by + shift[1]) / scale,
    ],
  };
}

export interface Organ extends Ellipse {
  hu: number;
  /** Radians. */
  angle?: number;
}

export function paintEllipse(canvas: Canvas, organ: Organ) {
  const { x: xs, y: ys, hu, scale } = canvas;
  const cos = Math.cos(organ.angle ?? 0);
  const sin = Math.sin(organ.angle ?? 0);
  const upright = { x: 0, y: 0, rx: organ.rx, ry: organ.ry };
  eachPixel(canvas, { ...organ, reach: max(organ.rx, organ.ry) + scale }, (i) => {
    const dx = xs[i]! - organ.x;
    const dy = ys[i]! - organ.y;
    const inside = share(ellipseDistance(upright, cos * dx + sin * dy, cos * dy - sin * dx), scale);
    hu[i]! += inside * (organ.hu - hu[i]!);
  });
}

/** Calls `visit` with the index of every pixel in a square around a point of the body; `reach` is half its side in mm. */
export function eachPixel(
  canvas: Canvas,
  at: { x: number; y: number; reach: number },
  visit: (i: number) => void,
) {
  const { size, scale } = canvas;
  const [column, row] = canvas.pixelOf(at.x, at.y);
  const reach = at.reach / scale;
  const left = max(0, floor(column - reach));
  const right = min(size - 1, ceil(column + reach));
  const bottom = min(size - 1, ceil(row + reach));
  for (let y = max(0, floor(row - reach)); y <= bottom; y++)
    for (let x = left; x <= right; x++) visit(y * size + x);
}

/** Share of a pixel that lies inside a border; `distance` from the pixel's centre to the border is negative inside. */
export function share(distance: number, pixel: number) {
  return clamp(0.5 - distance / pixel);
}
