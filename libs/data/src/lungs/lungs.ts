// Lungs in one slice without a network: air that is not connected with the air around the body.
import { greyOfHU } from '../scan.ts';
import type { GreyImage } from '../scan.ts';
import type { LungSegmenter } from './slice-networks.ts';

/** Lung and air are below this; the usual threshold between lung and soft tissue, −320 HU. */
const LIMIT = greyOfHU(-320);

/** Pieces smaller than this share of the image are airways, bowel gas or noise. */
const SMALLEST_PIECE = 0.001;

/** Gas in bowel, trachea and table is as dark as the air around the body, to 60 HU; lung is brighter. */
const AS_DARK = greyOfHU(60 - 1150);

/** Where less than this share of the border is air, the image was cropped to the chest. */
const CROPPED = 0.3;

/** In a cropped image pieces of this share are lung however dark: they come with windows that make lung as black as air. */
const LARGE_PIECE = 0.05;

/** Where a run of equal pixels in one row lies: `from` and before `to`, in the image. */
interface Run {
  from: number;
  to: number;
}

/** What hangs together, by edges. */
interface Piece {
  runs: Run[];
  pixels: number;
  /** Those among them on the image's border. */
  touching: number;
}

/**
 * 1 where there is lung, 0 elsewhere, [height, width]: pieces below −320 HU of at least a thousandth of the image that
 * are not the air around the body and not as dark as it; their holes (vessels, opacities) filled. What touches the
 * image's border is the air around the body; in an image that was cropped to the chest it may be a lung, if it touches at a spot.
 */
export function lungMask({ height, width, data }: GreyImage): Uint8Array {
  const mask = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) mask[i] = data[i]! < LIMIT ? 1 : 0;
  const air = piecesOf(mask, { height, width, value: 1 });
  const border = 2 * (height + width) - 4;
  const isCropped = air.reduce((sum, { touching }) => sum + touching, 0) < CROPPED * border;
  const isOutside = ({ touching, pixels }: Piece) => (isCropped ? touching ** 2 >= pixels : touching > 0);
  const outside = air.filter(isOutside);
  const around = outside.length === 0 ? -Infinity : medianOf(data, outside) + AS_DARK;
  const isLung = (piece: Piece) => {
    const share = piece.pixels / data.length;
    if (isOutside(piece) || share < SMALLEST_PIECE) return false;
    return (isCropped && share >= LARGE_PIECE) || medianOf(data, [piece]) >= around;
  };
  const fill = (pieces: readonly Piece[], value: number) => {
    for (const { runs } of pieces) for (const { from, to } of runs) mask.fill(value, from, to);
  };
  fill(
    air.filter((piece) => !isLung(piece)),
    0,
  );
  fill(
    piecesOf(mask, { height, width, value: 0 }).filter(({ touching }) => touching === 0),
    1,
  );
  return mask;
}

/** The pieces of pixels of that value, in the order of their first pixels. */
function piecesOf(mask: Uint8Array, size: { height: number; width: number; value: number }): Piece[] {
  const { height, width, value } = size;
  const runs: Run[] = [];
  const parents: number[] = [];
  const rootOf = (run: number) => {
    while (parents[run] !== run) run = parents[run] = parents[parents[run]!]!;
    return run;
  };
  let above = 0; // the first run that may touch this one from the row above
  for (let y = 0; y < height; y++) {
    const [start, end] = [y * width, (y + 1) * width];
    for (let from = start; from < end;) {
      if (mask[from] !== value) {
        from++;
        continue;
      }
      let to = from + 1;
      while (to < end && mask[to] === value) to++;
      const run = runs.push({ from, to }) - 1;
      parents.push(run);
      while (above < run && runs[above]!.to + width <= from) above++;
      for (let k = above; k < run && runs[k]!.from + width < to; k++) {
        const [one, other] = [rootOf(k), rootOf(run)];
        parents[Math.max(one, other)] = Math.min(one, other);
      }
      from = to;
    }
  }
  const pieces = new Map<number, Piece>();
  for (const [k, run] of runs.entries()) {
    const root = rootOf(k);
    const piece = pieces.get(root) ?? { runs: [], pixels: 0, touching: 0 };
    if (k === root) pieces.set(root, piece);
    const [length, x] = [run.to - run.from, run.from % width];
    const inFirstOrLast = run.from < width || run.from >= (height - 1) * width;
    piece.runs.push(run);
    piece.pixels += length;
    piece.touching += inFirstOrLast ? length : Number(x === 0) + Number(x + length === width);
  }
  return [...pieces.values()];
}

/** The upper of the two middle ones where the pixels are even in number. */
function medianOf(data: Uint8Array, pieces: readonly Piece[]): number {
  const histogram = new Uint32Array(256);
  for (const { runs } of pieces)
    for (const { from, to } of runs) for (let i = from; i < to; i++) histogram[data[i]!]!++;
  const count = pieces.reduce((sum, { pixels }) => sum + pixels, 0);
  let value = 0;
  for (let below = histogram[0]!; below <= count >> 1; below += histogram[value]!) value++;
  return value;
}

/** The share of the slice that is lung, 0 … 1, measured on means of n × n pixels, at least 128 a side. */
export function lungShare(slice: GreyImage): number {
  return shareOf(lungMask(reduced(slice, 128)));
}

/** The share of a mask's pixels that are 1. */
export function shareOf(mask: Uint8Array): number {
  let lung = 0;
  for (const value of mask) lung += value;
  return lung / mask.length;
}

/** The mask of the lung, found on means of n × n pixels, at least 224 a side. */
export function thresholdMask(slice: GreyImage): GreyImage {
  const small = reduced(slice, 224);
  return { ...small, data: lungMask(small) };
}

/** One lung mask per slice, 0 or 1: by the segmenter, at its own size, or else by `thresholdMask`. */
export async function masksOf(slices: readonly GreyImage[], segmenter?: LungSegmenter): Promise<GreyImage[]> {
  if (segmenter === undefined) return slices.map(thresholdMask);
  const { edge } = segmenter;
  return (await segmenter.masks(slices)).map((data) => ({ height: edge, width: edge, data }));
}

/** A slice shows lung where this share of it is. */
const LUNG_SHARE = 0.01;

/** Whether so large a share of lung makes a slice one with lung. */
export function isEnoughLung(share: number): boolean {
  return share >= LUNG_SHARE;
}

/** Means of n × n pixels, rounded down, n as large as leaves `edge` a side; what is left at the right and below is cut off. */
function reduced(image: GreyImage, edge: number): GreyImage {
  const factor = Math.max(1, Math.floor(Math.min(image.height, image.width) / edge));
  if (factor === 1) return image;
  const height = Math.floor(image.height / factor);
  const width = Math.floor(image.width / factor);
  const data = new Uint8Array(height * width);
  const { data: source, width: columns } = image;
  const sums = new Uint16Array(columns);
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    for (let row = 0, at = y * factor * columns; row < factor; row++, at += columns)
      for (let x = 0; x < columns; x++) sums[x] = sums[x]! + source[at + x]!;
    for (let x = 0, from = 0; x < width; x++) {
      let sum = 0;
      for (let k = 0; k < factor; k++) sum += sums[from++]!;
      data[y * width + x] = sum / (factor * factor);
    }
  }
  return { height, width, data };
}
