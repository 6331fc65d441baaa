// Bilinear resizing, to the byte as Pillow does it: `Image.resize(size, Image.BILINEAR)` of an 8-bit grey image. (Where
// width grows and height shrinks, Pillow 13 does the rows first and may differ by a grey level.)
// Own code because libvips, through sharp, enlarges with a shift of half an element.
import type { GreyImage } from './slices.ts';

/** Pillow's fixed point: 32 bits less 8 of the value and 2 of head room. */
const PRECISION_BITS = 22;

/**
 * Resizes to height × width, whatever the aspect ratio. Bilinear with aligned centres; where an axis shrinks, the
 * triangle filter is widened by the factor (antialiased, as in Pillow and unlike `cv2.INTER_LINEAR`). Columns first,
 * rounded to 8 bits, then rows.
 */
export function resizeBilinear(image: GreyImage, size: { height: number; width: number }): GreyImage {
  const { height, width } = size;
  const { height: rows, width: columns } = image;
  let { data } = image;
  if (width !== columns) {
    const across = new Uint8Array(rows * width);
    const filters = triangle(columns, width);
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < width; x++) {
        const { first, weights } = filters[x]!;
        let sum = 1 << (PRECISION_BITS - 1);
        const at = y * columns + first;
        for (let k = 0; k < weights.length; k++) sum += data[at + k]! * weights[k]!;
        across[y * width + x] = sum >> PRECISION_BITS;
      }
    data = across;
  }
  if (height !== rows) {
    const down = new Uint8Array(height * width);
    const sums = new Int32Array(width);
    for (const [y, { first, weights }] of triangle(rows, height).entries()) {
      sums.fill(1 << (PRECISION_BITS - 1));
      for (let k = 0; k < weights.length; k++) {
        const at = (first + k) * width;
        const weight = weights[k]!;
        for (let x = 0; x < width; x++) sums[x] = sums[x]! + data[at + x]! * weight;
      }
      for (let x = 0; x < width; x++) down[y * width + x] = sums[x]! >> PRECISION_BITS;
    }
    data = down;
  }
  return { height, width, data };
}

/** For each element of the resized axis: the first source element and the weights from there, in fixed point. */
function triangle(from: number, to: number): { first: number; weights: Int32Array }[] {
  const scale = from / to;
  const support = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(from, Math.trunc(centre + support + 0.5));
    const raw = Array.from({ length: end - first }, (_, k) =>
      Math.max(0, 1 - Math.abs((first + k - centre + 0.5) * (1 / support))),
    );
    const perTotal = 1 / raw.reduce((sum, weight) => sum + weight, 0);
    const weights = Int32Array.from(raw, (weight) =>
      Math.trunc(0.5 + weight * perTotal * (1 << PRECISION_BITS)),
    );
    return { first, weights };
  });
}
