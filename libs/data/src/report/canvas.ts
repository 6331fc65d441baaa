// RGB pixels to draw on: rectangles, crosses and text.
import { textPixels, textWidth } from './bitmap-font.ts';

/** A position in pixels, from the upper left corner. */
export interface Place {
  x: number;
  y: number;
}

export type Colour = readonly [red: number, green: number, blue: number];

/** A drawing area filled with one colour. What lies outside it is not drawn. */
export class Canvas {
  /** C order [height, width, 3]. */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;

  constructor(width: number, height: number, background: Colour) {
    this.width = width;
    this.height = height;
    this.data = new Uint8Array(width * height * 3);
    this.fill({ x: 0, y: 0 }, { width, height, colour: background });
  }

  set({ x, y }: Place, colour: Colour) {
    if (x >= 0 && y >= 0 && x < this.width && y < this.height)
      this.data.set(colour, (y * this.width + x) * 3);
  }

  fill(at: Place, { width, height, colour }: { width: number; height: number; colour: Colour }) {
    for (let y = at.y; y < at.y + height; y++)
      for (let x = at.x; x < at.x + width; x++) this.set({ x, y }, colour);
  }

  /** Draws the diagonals of a square. */
  cross(at: Place, edge: number, colour: Colour) {
    for (let i = 0; i < edge; i++)
      for (const x of [i, edge - 1 - i])
        this.fill({ x: at.x + x, y: at.y + i }, { width: 2, height: 1, colour });
  }

  /** Writes a text. What is wider than `room` pixels is cut off and replaced by two dots. */
  write(text: string, at: Place, { colour, scale, room }: { colour: Colour; scale: number; room: number }) {
    const most = Math.floor(room / textWidth('0') / scale);
    const characters = [...text];
    const shown = characters.length > most ? `${characters.slice(0, most - 2).join('')}..` : text;
    for (const { x, y } of textPixels(shown))
      this.fill({ x: at.x + x * scale, y: at.y + y * scale }, { width: scale, height: scale, colour });
  }
}
