// Applying lung masks to slices, and growing a mask at its border.
import type { GreyImage } from '../scan.ts';

/** How a mask's border is changed. Lengths are pixels of the mask, which may differ from those of the slice. */
export interface MaskBorder {
  /** The mask is dilated by a square with this side, an odd number; 1 leaves the mask as it is. */
  dilate: number;
  /**
   * Default `dilated`. `overflow` also removes a ring inside the border, as wide as the dilation outside it. This is the
   * result of adding the mask (0, 1) and its morphological gradient (0, 255) in 8 bits, where 1 + 255 overflows to 0.
   */
  edge?: 'dilated' | 'overflow';
}

/** Changes the border of a mask of 0 and 1, as OpenCV's cv2.dilate and cv2.morphologyEx(…, MORPH_GRADIENT) do it. */
export function withBorder(mask: GreyImage, { dilate, edge = 'dilated' }: MaskBorder): GreyImage {
  if (dilate === 1) return mask;
  const grown = spread(mask, dilate, 1);
  if (edge === 'dilated') return grown;
  const shrunk = spread(mask, dilate, 0);
  const data = mask.data.map((value, i) => (value === 1 ? shrunk.data[i]! : grown.data[i]!));
  return { ...mask, data };
}

/** Sets the square of `edge` × `edge` pixels around every pixel of this value to the value: 1 dilates, 0 erodes. */
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

/** The slice, black wherever the mask is 0. The mask is resized to the slice by nearest neighbours. */
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
