// Lung masks of single slices by threshold, without a network: air that is not connected to the air around the body.
import { greyOfHU } from '../scan.ts';
import type { GreyImage } from '../scan.ts';
import type { LungSegmenter } from './slice-networks.ts';

/** Grey value that lung and air are below: −320 HU, the usual threshold between lung and soft tissue. */
const TISSUE_FROM = greyOfHU(-320);

/** Pieces of air smaller than this share of the image are airways, bowel gas or noise. */
const MIN_PIECE_SHARE = 0.001;

/**
 * Grey levels (60 HU) by which lung is at least brighter than the air around the body; gas in the bowel, the trachea and
 * the table is not.
 */
const BRIGHTER_BY = greyOfHU(60 - 1150);

/** If less than this share of the image's border is air, the image is taken as cropped to the chest. */
const CROPPED_BELOW = 0.3;

/**
 * In a cropped image a piece of at least this share of the image is lung however dark it is: cropped images are often
 * windowed so that lung is as black as air.
 */
const LARGE_PIECE_SHARE = 0.05;

/** Neighbouring pixels of equal value in one row: indices into the image, from `from` to before `to`. */
interface Run {
  from: number;
  to: number;
}

/** A connected component; pixels are connected through their edges. */
interface Piece {
  runs: Run[];
  pixels: number;
  /** Number of its pixels on the image's border. */
  touching: number;
}

/**
 * The lung mask of a slice, C order [height, width]: 1 for lung, 0 elsewhere. Lung is every connected component below
 * −320 HU that covers at least a thousandth of the image, is not the air around the body and is brighter than that air;
 * holes within it (vessels, opacities) are filled. A component that touches the image's border is the air around the
 * body, except in an image that was cropped to the chest, where a lung may touch the border with few of its pixels.
 */
export function lungMask({ height, width, data }: GreyImage): Uint8Array {
  const mask = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) mask[i] = data[i]! < TISSUE_FROM ? 1 : 0;
  const air = piecesOf(mask, { height, width, value: 1 });
  const border = 2 * (height + width) - 4;
  const isCropped = air.reduce((sum, { touching }) => sum + touching, 0) < CROPPED_BELOW * border;
  const isOutside = ({ touching, pixels }: Piece) => (isCropped ? touching ** 2 >= pixels : touching > 0);
  const outside = air.filter(isOutside);
  const around = outside.length === 0 ? -Infinity : medianOf(data, outside) + BRIGHTER_BY;
  const isLung = (piece: Piece) => {
    const share = piece.pixels / data.length;
    if (isOutside(piece) || share < MIN_PIECE_SHARE) return false;
    return (isCropped && share >= LARGE_PIECE_SHARE) || medianOf(data, [piece]) >= around;
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

/** The connected components of the pixels of a value, in the order of their first pixels. */
function piecesOf(mask: Uint8Array, size: { height: number; width: number; value: number }): Piece[] {
  const { height, width, value } = size;
  const runs: Run[] = [];
  const parents: number[] = [];
  const rootOf = (run: number) => {
    while (parents[run] !== run) run = parents[run] = parents[parents[run]!]!;
    return run;
  };
  let above = 0; // the first run of the row above that may touch the current run
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

/** The median grey value of the pieces' pixels; the upper of the two middle values if the number of pixels is even. */
function medianOf(data: Uint8Array, pieces: readonly Piece[]): number {
  const histogram = new Uint32Array(256);
  for (const { runs } of pieces)
    for (const { from, to } of runs) for (let i = from; i < to; i++) histogram[data[i]!]!++;
  const count = pieces.reduce((sum, { pixels }) => sum + pixels, 0);
  let value = 0;
  for (let below = histogram[0]!; below <= count >> 1; below += histogram[value]!) value++;
  return value;
}

/** The share of the slice that is lung, 0 … 1. The slice is reduced by averaging n × n pixels, to at least 128 a side. */
export function lungShare(slice: GreyImage): number {
  return shareOf(lungMask(reduced(slice, 128)));
}

/** The share of a mask's pixels that are 1. */
export function shareOf(mask: Uint8Array): number {
  let lung = 0;
  for (const value of mask) lung += value;
  return lung / mask.length;
}

/** The lung mask by threshold. The slice is reduced by averaging n × n pixels, to at least 224 a side; so is the mask. */
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

/** A slice shows lung if at least this share of it is lung. */
const MIN_LUNG_SHARE = 0.01;

/** Whether a slice of which this share is lung counts as a slice that shows lung. */
export function isEnoughLung(share: number): boolean {
  return share >= MIN_LUNG_SHARE;
}

/**
 * Averages n × n pixels, rounded down, with the largest n that leaves at least `edge` pixels a side. The columns at the
 * right and the rows at the bottom that do not fill a block are cut off.
 */
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
