// Lung masks on slices: their border, and what they leave of a slice.
import type { GreyImage } from '../scan.ts';

/** What happens at a mask's border, in the mask's own pixels. */
export interface MaskBorder {
  /** The mask grows by a square of this edge, an odd number; 1: not at all. */
  dilate: number;
  /**
   * `overflow` cuts the ring out of which the mask grew, as wide inward as the dilation goes outward: what adding the
   * mask and its morphological gradient in 8 bits comes to, where 1 + 255 = 0.
   */
  edge?: 'dilated' | 'overflow';
}

/** A mask of 0 and 1 with its border treated, as OpenCV's cv2.dilate and cv2.morphologyEx(…, MORPH_GRADIENT) do it. */
export function withBorder(mask: GreyImage, { dilate, edge = 'dilated' }: MaskBorder): GreyImage {
  if (dilate === 1) return mask;
  const grown = spread(mask, dilate, 1);
  if (edge === 'dilated') return grown;
  const shrunk = spread(mask, dilate, 0);
  const data = mask.data.map((value, i) => (value === 1 ? shrunk.data[i]! : grown.data[i]!));
  return { ...mask, data };
}

/** Every pixel of the value makes its square of `edge` × `edge` pixels that value. */
function spread({ height, width, data }: GreyImage, edge: number, value: 0 | 1): GreyImage {
  const reach = (edge - 1) / 2;
  const spreadData = Uint8Array.from(data);
  const along = (lines: number, line: { length: number; stride: number; step: number }) => {
    const { length, stride, step } = line;
    const was = spreadData.slice();
    for (let k = 0; k < lines; k++) {
      const start = k * step;
      let [before, after] = [-Infinity, Infinity];
      for (let i = 0; i < length; i++) {
        if (was[start + i * stride] === value) before = i;
        if (i - before <= reach) spreadData[start + i * stride] = value;
      }
      for (let i = length - 1; i >= 0; i--) {
        if (was[start + i * stride] === value) after = i;
        if (after - i <= reach) spreadData[start + i * stride] = value;
      }
    }
  };
  along(height, { length: width, stride: 1, step: width });
  along(width, { length: height, stride: width, step: 1 });
  return { height, width, data: spreadData };
}

/** Black where the mask, brought to the slice's size by its nearest pixels, is 0. */
export function masked(slice: GreyImage, mask: GreyImage): GreyImage {
  const { height, width } = slice;
  const data = new Uint8Array(slice.data.length);
  const columns = Int32Array.from({ length: width }, (_, x) => Math.floor((x * mask.width) / width));
  for (let y = 0; y < height; y++) {
    const row = Math.floor((y * mask.height) / height) * mask.width;
    for (let x = 0, i = y * width; x < width; x++, i++)
      if (mask.data[row + columns[x]!] !== 0) data[i] = slice.data[i]!;
  }
  return { height, width, data };
}
