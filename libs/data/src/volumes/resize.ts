// Bilinear resizing, byte for byte as Pillow's `Image.resize(size, Image.BILINEAR)` of an 8-bit grey image. (If the width
// grows and the height shrinks, Pillow 13 resizes in the other order and may differ by one grey level.) sharp is not used
// because libvips shifts an image by half an element when it enlarges it.
import type { GreyImage } from '../scan.ts';

/** Fractional bits of Pillow's fixed-point numbers: 32 bits minus 8 for the value and 2 of headroom. */
const PRECISION_BITS = 22;

/**
 * Resizes to height × width; the aspect ratio may change. Bilinear with pixel centres at half-integers. If an axis shrinks,
 * the triangle filter is widened by the factor (antialiasing, as in Pillow and unlike `cv2.INTER_LINEAR`). The width is
 * resized first and rounded to 8 bits, then the height.
 */
export function resizeBilinear(image: GreyImage, size: { height: number; width: number }): GreyImage {
  const { height, width } = size;
  const { height: rows, width: columns } = image;
  let { data } = image;
  if (width !== columns) data = resizeRows(data, { rows, columns, width });
  if (height !== rows) data = resizeColumns(data, { rows, height, width });
  return { height, width, data };
}

/** Number of products in one unrolled expression, which is three times as fast as a loop over them. */
const UNROLLED = 5;

const HALF = 1 << (PRECISION_BITS - 1);

/** Along the rows: [rows, columns] → [rows, width]. */
function resizeRows(data: Uint8Array, size: { rows: number; columns: number; width: number }): Uint8Array {
  const { rows, columns, width } = size;
  const { firsts, weights, taps } = triangle(columns, width);
  const resized = new Uint8Array(rows * width);
  const row = new Uint8Array(columns + taps); // taps of weight 0 may lie beyond the row
  for (let y = 0, to = 0; y < rows; y++) {
    row.set(data.subarray(y * columns, (y + 1) * columns));
    for (let x = 0, k = 0; x < width; x++) {
      let sum = HALF;
      for (let at = firsts[x]!, end = at + taps; at < end; at += UNROLLED, k += UNROLLED)
        sum =
          (sum +
            Math.imul(row[at]!, weights[k]!) +
            Math.imul(row[at + 1]!, weights[k + 1]!) +
            Math.imul(row[at + 2]!, weights[k + 2]!) +
            Math.imul(row[at + 3]!, weights[k + 3]!) +
            Math.imul(row[at + 4]!, weights[k + 4]!)) |
          0;
      resized[to++] = sum >> PRECISION_BITS;
    }
  }
  return resized;
}

/** Along the columns: [rows, width] → [height, width]. */
function resizeColumns(data: Uint8Array, size: { rows: number; height: number; width: number }): Uint8Array {
  const { rows, height, width } = size;
  const { firsts, weights, taps } = triangle(rows, height);
  const resized = new Uint8Array(height * width);
  const padded = new Uint8Array((rows + taps) * width); // taps of weight 0 may lie beyond the column
  padded.set(data);
  const sums = new Int32Array(width);
  for (let y = 0, to = 0; y < height; y++) {
    sums.fill(HALF);
    for (let k = y * taps, end = k + taps, at = firsts[y]! * width; k < end; k += UNROLLED) {
      const [a, b, c, d, e] = [
        weights[k]!,
        weights[k + 1]!,
        weights[k + 2]!,
        weights[k + 3]!,
        weights[k + 4]!,
      ];
      const [second, third, fourth, fifth] = [at + width, at + 2 * width, at + 3 * width, at + 4 * width];
      for (let x = 0; x < width; x++)
        sums[x] =
          (sums[x]! +
            Math.imul(padded[at + x]!, a) +
            Math.imul(padded[second + x]!, b) +
            Math.imul(padded[third + x]!, c) +
            Math.imul(padded[fourth + x]!, d) +
            Math.imul(padded[fifth + x]!, e)) |
          0;
      at += UNROLLED * width;
    }
    for (let x = 0; x < width; x++) resized[to++] = sums[x]! >> PRECISION_BITS;
  }
  return resized;
}

/** The filter of one axis. */
interface Filters {
  /** Number of weights of each element of the resized axis, a multiple of UNROLLED; the last weights may be 0. */
  taps: number;
  /** [to], the first source element of each element. */
  firsts: Int32Array;
  /** [to, taps], the weights of the source elements from the first on, in fixed point. */
  weights: Int32Array;
}

/** Filters by `from` and `to`: nearly all slices of a data set have the same size. */
const known = new Map<string, Filters>();

function triangle(from: number, to: number): Filters {
  const key = `${from} ${to}`;
  const filters = known.get(key) ?? makeTriangle(from, to);
  if (known.size > 64) known.clear();
  known.set(key, filters);
  return filters;
}

function makeTriangle(from: number, to: number): Filters {
  const scale = from / to;
  const support = Math.max(scale, 1);
  const filters = Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(from, Math.trunc(centre + support + 0.5));
    const raw = Array.from({ length: end - first }, (_, k) =>
      Math.max(0, 1 - Math.abs((first + k - centre + 0.5) * (1 / support))),
    );
    const perTotal = 1 / raw.reduce((sum, weight) => sum + weight, 0);
    return {
      first,
      weights: raw.map((weight) => Math.trunc(0.5 + weight * perTotal * (1 << PRECISION_BITS))),
    };
  });
  const most = Math.max(...filters.map(({ weights }) => weights.length));
  const taps = Math.ceil(most / UNROLLED) * UNROLLED;
  const weights = new Int32Array(to * taps);
  for (const [i, filter] of filters.entries()) weights.set(filter.weights, i * taps);
  return {
    taps,
    firsts: Int32Array.from(filters, ({ first }) => first),
    weights,
  };
}
