// A scan on one picture: its slices as small tiles, framed by what became of them, and text. Knows nothing of files.
import sharp from 'sharp';
import { LETTER_HEIGHT, textPixels, textWidth } from './bitmap-font.ts';
import { resizeBilinear } from '../volumes/resize.ts';
import type { GreyImage } from '../scan.ts';

/** Of a source slice; `used`: a slice of the volume. */
export type TileState = 'kept' | 'dropped' | 'unreadable' | 'used';

export interface Tile {
  /** A few characters, below the picture. */
  label: string;
  state: TileState;
  /** At most TILE pixels a side, see `tileImage`; null where there is none. */
  image: GreyImage | null;
  /** Its outline is drawn: 0 and 1, of any size. */
  mask?: GreyImage | null;
  /** A small square beside the label. */
  isMarked?: boolean;
}

export interface SheetSection {
  title: string;
  tiles: readonly Tile[];
}

export interface ContactSheet {
  /** The first is written large. */
  lines: readonly string[];
  /** What the colours mean, on one line. */
  legend: readonly { colour: TileState | 'outline'; text: string }[];
  sections: readonly SheetSection[];
}

/** Where one thing stands, in pixels. */
export interface Place {
  x: number;
  y: number;
}

type Colour = readonly [red: number, green: number, blue: number];

/** Pixels of a tile's edge, without its frame. */
export const TILE = 96;

/** Width of a tile's frame. */
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

/** What is left of the brightness of a slice that is dropped. */
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

/** Above a section. */
const SECTION_GAP = 14;

/** Of the small picture of the sheet. */
const SMALL_WIDTH = 424;

/** A picture that fits a tile, in its proportions. */
export function tileImage(image: GreyImage): GreyImage {
  const scale = TILE / Math.max(image.height, image.width);
  const size = (pixels: number) => Math.max(1, Math.round(pixels * scale));
  return resizeBilinear(image, { height: size(image.height), width: size(image.width) });
}

/** Where each line, each section's title and each tile stand; of a tile, its picture's square without the frame. */
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

/** The sheet as PNG, and a small JPEG of it. The same sheet gives the same pixels everywhere. */
export async function drawContactSheet(sheet: ContactSheet): Promise<{ png: Uint8Array; small: Uint8Array }> {
  const places = placesOf(sheet);
  const canvas = new Canvas(places.width, places.height);
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

/** 1 on the mask's own outermost pixels, at the picture's size; what lies outside the picture counts as mask. */
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

/** RGB pixels; what falls outside is not drawn. */
class Canvas {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.data = new Uint8Array(width * height * 3);
    this.fill({ x: 0, y: 0 }, { width, height, colour: PAPER });
  }

  set({ x, y }: Place, colour: Colour) {
    if (x >= 0 && y >= 0 && x < this.width && y < this.height)
      this.data.set(colour, (y * this.width + x) * 3);
  }

  fill(at: Place, { width, height, colour }: { width: number; height: number; colour: Colour }) {
    for (let y = at.y; y < at.y + height; y++)
      for (let x = at.x; x < at.x + width; x++) this.set({ x, y }, colour);
  }

  cross(at: Place, edge: number, colour: Colour) {
    for (let i = 0; i < edge; i++)
      for (const x of [i, edge - 1 - i])
        this.fill({ x: at.x + x, y: at.y + i }, { width: 2, height: 1, colour });
  }

  /** What finds no room is cut off, and that is shown by two dots. */
  write(text: string, at: Place, { colour, scale, room }: { colour: Colour; scale: number; room: number }) {
    const most = Math.floor(room / textWidth('0') / scale);
    const characters = [...text];
    const shown = characters.length > most ? `${characters.slice(0, most - 2).join('')}..` : text;
    for (const { x, y } of textPixels(shown))
      this.fill({ x: at.x + x * scale, y: at.y + y * scale }, { width: scale, height: scale, colour });
  }
}
