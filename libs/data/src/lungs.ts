// Lungs in one slice without a network: air that is not connected with the air around the body.
import { greyOfHU, type Slice } from './scan.ts';

/** Lung and air are below this; the usual threshold between lung and soft tissue. */
const THRESHOLD = -320;

/** Pieces smaller than this share of the image are airways, bowel gas or noise. */
const SMALLEST_PIECE = 0.001;

/** Gas in bowel, trachea and table is as dark as the air around the body, to so many Hounsfield units; lung is brighter. */
const AS_DARK = 60;

/** Where less than this share of the border is air, the image was cropped to the chest. */
const CROPPED = 0.3;

/** In a cropped image pieces of this share are lung however dark: they come with windows that make lung as black as air. */
const LARGE_PIECE = 0.05;

/**
 * 1 where there is lung, 0 elsewhere, [height, width]: pieces below −320 HU of at least a thousandth of the image that
 * are not the air around the body and not as dark as it; their holes (vessels, opacities) filled. What touches the
 * image's border is the air around the body; in an image that was cropped to the chest it may be a lung, if it touches at a spot.
 */
export function lungMask({ height, width, data }: Slice): Uint8Array {
  const isGrey = data instanceof Uint8Array;
  const limit = isGrey ? greyOfHU(THRESHOLD) : THRESHOLD;
  const margin = isGrey ? greyOfHU(AS_DARK) - greyOfHU(0) : AS_DARK;
  const size = { height, width };
  const mask = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) if (data[i]! < limit) mask[i] = AIR;
  const isCropped = airOnBorder(mask, size) < CROPPED;
  const pieces: number[][] = [];
  const outside: number[][] = [];
  for (let start = 0; start < mask.length; start++) {
    if (mask[start] !== AIR) continue;
    const piece = flood(mask, { ...size, start, to: LUNG });
    const touching = piece.reduce((count, pixel) => count + (onBorder(pixel, size) ? 1 : 0), 0);
    const isOutside = isCropped ? touching ** 2 >= piece.length : touching > 0;
    (isOutside ? outside : pieces).push(piece);
  }
  const around = outside.length === 0 ? -Infinity : medianOf(data, outside.flat()) + margin;
  const isLung = (piece: number[]) =>
    (isCropped && piece.length >= LARGE_PIECE * data.length) ||
    (piece.length >= SMALLEST_PIECE * data.length && medianOf(data, piece) >= around);
  for (const piece of [...outside, ...pieces.filter((one) => !isLung(one))]) {
    for (const pixel of piece) mask[pixel] = TISSUE;
  }
  for (let start = 0; start < mask.length; start++) {
    if (mask[start] === TISSUE && onBorder(start, size)) flood(mask, { ...size, start, to: BODY });
  }
  return mask.map((value) => (value === BODY ? 0 : 1));
}

const [TISSUE, AIR, LUNG, BODY] = [0, 1, 2, 3];

/** Share of the border's pixels. */
function airOnBorder(mask: Uint8Array, size: Size): number {
  let [air, all] = [0, 0];
  for (let pixel = 0; pixel < mask.length; pixel++) {
    if (!onBorder(pixel, size)) continue;
    all++;
    if (mask[pixel] === AIR) air++;
  }
  return air / all;
}

const onBorder = (pixel: number, { height, width }: Size) =>
  pixel % width === 0 || pixel % width === width - 1 || pixel < width || pixel >= width * (height - 1);

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
