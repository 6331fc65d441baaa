// The picture of an explanation: slices of a volume in grey, with maps of values laid over them in colour. Reads and writes no files.
import sharp from 'sharp';
import { LETTER_HEIGHT } from './bitmap-font.ts';
import { Canvas, type Colour, type Place } from './canvas.ts';
import { resizeBilinear } from '../volumes/resize.ts';
import type { GreyImage } from '../scan.ts';

/** One slice; below it, for each row of the sheet, the map that is laid over it: bytes, 255 for the greatest value. */
export interface ExplainedSlice {
  /** A few lines, written above the slice. */
  lines: readonly string[];
  image: GreyImage;
  /** One map for each of the sheet's `rows`, of any size. */
  maps: readonly GreyImage[];
}

export interface ExplanationSheet {
  /** Lines of text at the top; the first is written large. */
  lines: readonly string[];
  /** What the rows below the plain slices show. */
  rows: readonly string[];
  slices: readonly ExplainedSlice[];
  /** Written at the two ends of the scale of colours. */
  scale: { least: string; most: string };
}

const TILE = 224;
const MARGIN = 16;
const GAP = 8;
const LINE = LETTER_HEIGHT + 7;
const TITLE_LINE = 2 * LETTER_HEIGHT + 8;
const BAR = { width: 256, height: 12 };
const PAPER: Colour = [13, 17, 23];
const INK: Colour = [230, 237, 243];
const FAINT: Colour = [139, 148, 158];
/** Fewest columns that the sheet is wide, so that its text has room. */
const FEWEST_COLUMNS = 3;

/** Share of the colour in a pixel with a value of a half or more; below, the colour fades out towards the value 0. */
const OPACITY = 0.65;

/**
 * Every 32nd colour of matplotlib's colour map inferno, which stays readable with colour-blind eyes and in grey: it becomes
 * lighter from the first to the last.
 */
const INFERNO: readonly Colour[] = [
  [0, 0, 4],
  [31, 12, 72],
  [85, 15, 109],
  [136, 34, 106],
  [186, 54, 85],
  [227, 89, 51],
  [249, 140, 10],
  [249, 201, 50],
  [252, 255, 164],
];

/** The colour of a value from 0 to 1, between the nearest two of `INFERNO`. */
export function heatColour(value: number): Colour {
  const at = Math.min(1, Math.max(0, value)) * (INFERNO.length - 1);
  const before = Math.min(Math.floor(at), INFERNO.length - 2);
  const [a, b] = [INFERNO[before]!, INFERNO[before + 1]!];
  const mixed = (channel: 0 | 1 | 2) => Math.round(a[channel] + (at - before) * (b[channel] - a[channel]));
  return [mixed(0), mixed(1), mixed(2)];
}

/** A grey value with the colour of a map's value from 0 to 1 over it; 0 leaves the grey value as it is. */
export function overlaid(grey: number, value: number): Colour {
  const opacity = OPACITY * Math.min(1, 2 * value);
  const [red, green, blue] = heatColour(value);
  const mixed = (colour: number) => Math.round(grey + opacity * (colour - grey));
  return [mixed(red), mixed(green), mixed(blue)];
}

/** Draws the sheet as a PNG. The same sheet gives the same bytes. */
export async function drawExplanation({ lines, rows, slices, scale }: ExplanationSheet): Promise<Buffer> {
  const columns = Math.max(slices.length, FEWEST_COLUMNS);
  const width = 2 * MARGIN + columns * TILE + (columns - 1) * GAP;
  const room = width - 2 * MARGIN;
  const captionLines = Math.max(0, ...slices.map((slice) => slice.lines.length));
  const head = MARGIN + TITLE_LINE + (lines.length - 1) * LINE + GAP;
  const top = head + captionLines * LINE + GAP;
  const rowHeight = LINE + TILE + GAP;
  const barTop = top + TILE + GAP + rows.length * rowHeight + GAP;
  const canvas = new Canvas(width, barTop + BAR.height + LINE + MARGIN, PAPER);
  let y = MARGIN;
  lines.forEach((line, i) => {
    canvas.write(line, { x: MARGIN, y }, { colour: INK, scale: i === 0 ? 2 : 1, room });
    y += i === 0 ? TITLE_LINE : LINE;
  });
  slices.forEach(({ lines: caption, image, maps }, i) => {
    const x = MARGIN + i * (TILE + GAP);
    caption.forEach((line, k) =>
      canvas.write(line, { x, y: head + k * LINE }, { colour: k === 0 ? INK : FAINT, scale: 1, room: TILE }),
    );
    const grey = resizeBilinear(image, { height: TILE, width: TILE });
    draw(canvas, { x, y: top }, { grey });
    rows.forEach((_, row) => {
      const map = resizeBilinear(maps[row]!, { height: TILE, width: TILE });
      draw(canvas, { x, y: top + TILE + GAP + row * rowHeight + LINE }, { grey, map });
    });
  });
  rows.forEach((row, i) =>
    canvas.write(row, { x: MARGIN, y: top + TILE + GAP + i * rowHeight }, { colour: INK, scale: 1, room }),
  );
  for (let x = 0; x < BAR.width; x++)
    canvas.fill(
      { x: MARGIN + x, y: barTop },
      { width: 1, height: BAR.height, colour: heatColour(x / (BAR.width - 1)) },
    );
  const textTop = barTop + BAR.height + 4;
  canvas.write(scale.least, { x: MARGIN, y: textTop }, { colour: FAINT, scale: 1, room: BAR.width / 2 });
  canvas.write(
    scale.most,
    { x: MARGIN + BAR.width + GAP, y: barTop + 2 },
    { colour: FAINT, scale: 1, room: room - BAR.width - GAP },
  );
  const { data, height } = canvas;
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 9 })
    .toBuffer();
}

function draw(canvas: Canvas, at: Place, { grey, map }: { grey: GreyImage; map?: GreyImage }) {
  for (let y = 0; y < grey.height; y++)
    for (let x = 0; x < grey.width; x++) {
      const i = y * grey.width + x;
      canvas.set({ x: at.x + x, y: at.y + y }, overlaid(grey.data[i]!, (map?.data[i] ?? 0) / 255));
    }
}
