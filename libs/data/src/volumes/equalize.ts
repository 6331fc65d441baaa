// Histogram equalisation, byte for byte as OpenCV's cv2.equalizeHist does it.
import type { GreyImage } from '../scan.ts';

/** Maps the grey values so that their cumulative histogram becomes nearly linear. An image of a single value is copied. */
export function equalizeHistogram({ height, width, data }: GreyImage): GreyImage {
  const histogram = new Uint32Array(256);
  for (const value of data) histogram[value]!++;
  const lowest = histogram.findIndex((count) => count > 0);
  const rest = data.length - (histogram[lowest] ?? 0);
  if (rest === 0) return { height, width, data: data.slice() };
  const scale = fround(255 / rest); // OpenCV computes in float32
  const table = new Uint8Array(256);
  let below = 0;
  for (let value = lowest + 1; value < 256; value++) {
    below += histogram[value]!;
    table[value] = roundHalfEven(fround(below * scale));
  }
  const equalized = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) equalized[i] = table[data[i]!]!;
  return { height, width, data: equalized };
}

const { fround } = Math;

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
