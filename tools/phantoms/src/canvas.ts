// The pixel grid of one scan and what every painter of it needs.
import { clamp, ellipseDistance, sectionAt, type Acquisition, type Body, type Ellipse } from './anatomy.ts';

// Looked up once: in the loops over pixels a global costs more than the arithmetic where modules run in a context of
// their own, as in tests.
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
  /** Numbers of the pixels of which some part is lung, the first `lungCount` of them. */
  lungAt: Int32Array;
  lungCount: number;
  /** How far each pixel is taken towards fluid, 0 … 1, and whether it is affected; cleared where used. */
  opacity: Float32Array;
  affected: Uint8Array;
  /** The pixel of a point of the body. */
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

/** Calls back with the number of every pixel in a square around a point of the body, at least as far as `reach` in mm. */
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

/** The share of a pixel on the inner side of a border at this signed distance. */
export function share(distance: number, pixel: number) {
  return clamp(0.5 - distance / pixel);
}
