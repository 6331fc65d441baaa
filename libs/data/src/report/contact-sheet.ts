// Contact sheets: one picture per scan with its slices as small tiles, framed by their state, and text. Reads and writes
// no files.
import sharp from 'sharp';
import { LETTER_HEIGHT, textWidth } from './bitmap-font.ts';
import { Canvas, type Colour, type Place } from './canvas.ts';
import { resizeBilinear } from '../volumes/resize.ts';
import type { GreyImage } from '../scan.ts';

/** State of a slice of the scan: kept, dropped because it shows no lung, or unreadable; `used` is a slice of the volume. */
export type TileState = 'kept' | 'dropped' | 'unreadable' | 'used';

export interface Tile {
  /** A few characters, written below the picture. */
  label: string;
  state: TileState;
  /** At most TILE pixels a side, as `tileImage` makes it; null for an unreadable slice. */
  image: GreyImage | null;
  /** A mask of 0 and 1 of any size, of which the outline is drawn. */
  mask?: GreyImage | null;
  /** Draws a small square beside the label. */
  isMarked?: boolean;
}

export interface SheetSection {
  title: string;
  tiles: readonly Tile[];
}

export interface ContactSheet {
  /** Lines of text at the top; the first is written large. */
  lines: readonly string[];
  /** The meaning of the colours, on one line. */
  legend: readonly { colour: TileState | 'outline'; text: string }[];
  sections: readonly SheetSection[];
}

/** Height and width of a tile in pixels, without its frame. */
export const TILE = 96;

/** Width of a tile's frame in pixels. */
export const FRAME = 3;

export const COLOURS: Readonly<Record<TileState | 'outline', Colour>> = {
  kept: [46, 160, 67],
  dropped: [218, 54, 51],
  unreadable: [219, 109, 40],
  used: [56, 100, 160],
  outline: [255, 213, 0],
};
const PAPER: Colour = [13, 17, 23];
const INK: Colour = [230, 237, 243];
const FAINT: Colour = [139, 148, 158];

/** Factor on the brightness of a dropped slice. */
const DIMMED = 0.45;

const COLUMNS = 16;
const MARGIN = 16;
const GAP = 6;
const LABEL = LETTER_HEIGHT + 7;
const CELL = TILE + 2 * FRAME;
const WIDTH = 2 * MARGIN + COLUMNS * CELL + (COLUMNS - 1) * GAP;
const TITLE_SCALE = 2;
const TITLE_LINE = LETTER_HEIGHT * TITLE_SCALE + 8;
const LINE = LETTER_HEIGHT + 9;
const SWATCH = 8;

/** Pixels above a section. */
const SECTION_GAP = 14;

/** Width in pixels of the small picture of the sheet. */
const SMALL_WIDTH = 424;

/** Resizes an image so that its longer side has TILE pixels; the aspect ratio is kept. */
export function tileImage(image: GreyImage): GreyImage {
  const scale = TILE / Math.max(image.height, image.width);
  const size = (pixels: number) => Math.max(1, Math.round(pixels * scale));
  return resizeBilinear(image, { height: size(image.height), width: size(image.width) });
}

/**
 * The layout of a sheet: upper left corners of the lines, the legend, the sections' titles and the tiles' pictures
 * (without the frame), and the size of the sheet in pixels.
 */
export function placesOf({ lines, sections }: ContactSheet) {
  let y = MARGIN;
  const linePlaces = lines.map((_, i): Place => {
    const place = { x: MARGIN, y };
    y += i === 0 ? TITLE_LINE : LINE;
    return place;
  });
  const legend: Place = { x: MARGIN, y };
  y += LINE;
  const sectionPlaces = sections.map(({ tiles }) => {
    y += SECTION_GAP;
    const title: Place = { x: MARGIN, y };
    y += LINE;
    const tilePlaces = tiles.map((_, i): Place => {
      const [column, row] = [i % COLUMNS, Math.floor(i / COLUMNS)];
      return {
        x: MARGIN + column * (CELL + GAP) + FRAME,
        y: y + row * (CELL + LABEL) + FRAME,
      };
    });
    y += Math.ceil(tiles.length / COLUMNS) * (CELL + LABEL);
    return { title, tiles: tilePlaces };
  });
  return { lines: linePlaces, legend, sections: sectionPlaces, width: WIDTH, height: y + MARGIN };
}

/** Draws the sheet as PNG, and a small JPEG of it. The same sheet gives the same pixels on every machine. */
export async function drawContactSheet(sheet: ContactSheet): Promise<{ png: Uint8Array; small: Uint8Array }> {
  const places = placesOf(sheet);
  const canvas = new Canvas(places.width, places.height, PAPER);
  const room = WIDTH - 2 * MARGIN;
  for (const [i, line] of sheet.lines.entries())
    canvas.write(line, places.lines[i]!, { colour: INK, scale: i === 0 ? TITLE_SCALE : 1, room });
  let { x } = places.legend;
  const { y } = places.legend;
  for (const { colour, text } of sheet.legend) {
    canvas.fill({ x, y }, { width: SWATCH, height: SWATCH, colour: COLOURS[colour] });
    canvas.write(text, { x: x + SWATCH + 5, y }, { colour: FAINT, scale: 1, room: WIDTH - MARGIN - x });
    x += SWATCH + 5 + textWidth(text) + 20;
  }
  for (const [i, { title, tiles }] of sheet.sections.entries()) {
    canvas.write(title, places.sections[i]!.title, { colour: INK, scale: 1, room });
    for (const [k, tile] of tiles.entries()) drawTile(canvas, tile, places.sections[i]!.tiles[k]!);
  }
  const picture = sharp(canvas.data, {
    raw: { width: canvas.width, height: canvas.height, channels: 3 },
  });
  const [png, small] = await Promise.all([
    picture.clone().png({ compressionLevel: 9 }).toBuffer(),
    picture.clone().resize(SMALL_WIDTH).jpeg({ quality: 75 }).toBuffer(),
  ]);
  return { png, small };
}

function drawTile(canvas: Canvas, { label, state, image, mask, isMarked }: Tile, at: Place) {
  const colour = COLOURS[state];
  canvas.fill({ x: at.x - FRAME, y: at.y - FRAME }, { width: CELL, height: CELL, colour });
  canvas.fill(at, { width: TILE, height: TILE, colour: PAPER });
  const light = state === 'dropped' ? DIMMED : 1;
  if (image === null) canvas.cross(at, TILE, colour);
  else {
    const { height, width, data } = image;
    const corner = { x: at.x + ((TILE - width) >> 1), y: at.y + ((TILE - height) >> 1) };
    const outline = mask ? outlineOf(mask, image) : null;
    for (let y = 0, i = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++) {
        const grey = data[i]!;
        const [red, green, blue] = outline?.[i] === 1 ? COLOURS.outline : [grey, grey, grey];
        canvas.set({ x: corner.x + x, y: corner.y + y }, [red * light, green * light, blue * light]);
      }
  }
  const below = at.y + TILE + FRAME + 4;
  canvas.write(
    label,
    { x: at.x, y: below },
    { colour: state === 'kept' ? INK : FAINT, scale: 1, room: TILE },
  );
  if (isMarked) canvas.fill({ x: at.x + TILE - 7, y: below }, { width: 7, height: 7, colour: COLOURS.used });
}

/**
 * The outline of a mask at the picture's size, C order [height, width]: 1 on the outermost pixels of the mask. Beyond the
 * picture's border the mask counts as continued, so that no outline is drawn along the border.
 */
function outlineOf(mask: GreyImage, { height, width }: GreyImage): Uint8Array {
  const bright = { ...mask, data: mask.data.map((value) => (value === 0 ? 0 : 255)) };
  const { data } = resizeBilinear(bright, { height, width });
  const isIn = (y: number, x: number) =>
    y < 0 || x < 0 || y >= height || x >= width || data[y * width + x]! >= 128;
  return Uint8Array.from(data, (value, i) => {
    const [y, x] = [Math.floor(i / width), i % width];
    const isInside = isIn(y - 1, x) && isIn(y + 1, x) && isIn(y, x - 1) && isIn(y, x + 1);
    return value >= 128 && !isInside ? 1 : 0;
  });
}
