// Lungs in one slice without a network: air that is not connected with the air around the body.
import { greyOfHU, type Slice } from './scan.ts';

/** Lung and air are below this; the usual threshold between lung and soft tissue. */
const THRESHOLD = -320;

/** Pieces smaller than this share of the image are airways, bowel gas or noise. */
const SMALLEST_PIECE = 0.001;

/** Gas in bowel, trachea and table is as dark as the air around the body; lung is brighter by more Hounsfield units than this. */
const DARKER_THAN_LUNG = 60;

/**
 * 1 where there is lung, 0 elsewhere, [height, width]: below −320 HU, not connected (by edges of pixels) with the image's
 * border; pieces of at least a thousandth of the image whose median is not that of the air at the border; their holes
 * (vessels, opacities) filled.
 */
export function lungMask({ height, width, data }: Slice): Uint8Array {
  const isGrey = data instanceof Uint8Array;
  const limit = isGrey ? greyOfHU(THRESHOLD) : THRESHOLD;
  const margin = isGrey ? greyOfHU(DARKER_THAN_LUNG) - greyOfHU(0) : DARKER_THAN_LUNG;
  const air = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) if (data[i]! < limit) air[i] = 1;
  const size = { height, width };
  const outside = border(size).flatMap((start) =>
    air[start] === 1 ? flood(air, { ...size, start, to: 0 }) : [],
  );
  const least = outside.length === 0 ? -Infinity : medianOf(data, outside) + margin;
  const smallest = SMALLEST_PIECE * data.length;
  for (let i = 0; i < air.length; i++) {
    if (air[i] !== 1) continue;
    const piece = flood(air, { ...size, start: i, to: 2 });
    const isLung = piece.length >= smallest && medianOf(data, piece) >= least;
    if (!isLung) for (const pixel of piece) air[pixel] = 0;
  }
  for (const start of border(size)) if (air[start] === 0) flood(air, { ...size, start, to: 3 });
  return air.map((value) => (value === 3 ? 0 : 1));
}

/** The upper of the two middle ones where the pixels are even in number. */
function medianOf(data: Slice['data'], pixels: readonly number[]): number {
  const histogram = new Uint32Array(1 << 16);
  for (const pixel of pixels) histogram[data[pixel]! + 32768]!++;
  let value = 0;
  for (let below = histogram[0]!; below <= pixels.length >> 1; below += histogram[value]!) value++;
  return value - 32768;
}

/** Pixels of the mask. */
export function lungArea(slice: Slice): number {
  return lungMask(slice).reduce((sum, value) => sum + value, 0);
}

/** A slice shows lung where its mask is at least this share of it. */
const LUNG_SHARE = 0.01;

export function showsLung(slice: Slice): boolean {
  return lungArea(slice) >= LUNG_SHARE * slice.data.length;
}

interface Size {
  height: number;
  width: number;
}

function border({ height, width }: Size): number[] {
  const rows = Array.from({ length: width }, (_, x) => [x, (height - 1) * width + x]);
  const columns = Array.from({ length: height }, (_, y) => [y * width, y * width + width - 1]);
  return [...rows, ...columns].flat();
}

/** Sets the region of equal values around `start` to another value; returns its pixels. */
function flood(
  values: Uint8Array,
  { height, width, start, to }: Size & { start: number; to: number },
): number[] {
  const from = values[start]!;
  const region = [start];
  values[start] = to;
  const visit = (pixel: number) => {
    if (values[pixel] !== from) return;
    values[pixel] = to;
    region.push(pixel);
  };
  for (let next = 0; next < region.length; next++) {
    const pixel = region[next]!;
    const x = pixel % width;
    if (x > 0) visit(pixel - 1);
    if (x < width - 1) visit(pixel + 1);
    if (pixel >= width) visit(pixel - width);
    if (pixel < width * (height - 1)) visit(pixel + width);
  }
  return region;
}
