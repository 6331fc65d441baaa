// The source coordinates of each pixel of a rotated and flipped slice, in the fixed-point numbers of OpenCV's warpAffine
// (imgwarp.cpp) and Pillow's rotate (Image.py, Geometry.c). Source x and y are each the sum of a term that depends on the
// column and a term that depends on the row.

export type Interpolation = 'linear' | 'nearest';

export interface Turn {
  /** Degrees, counter-clockwise. */
  angle: number;
  mirrorX: boolean;
  mirrorY: boolean;
  /** Height and width of the slice, in pixels. */
  height: number;
  width: number;
}

/** Fixed-point units in one pixel: OpenCV's are 1/1024 pixel, Pillow's 1/65536. */
export const UNITS = { linear: 1024, nearest: 65536 } as const;

/** Terms of the source coordinates, in UNITS. */
export interface Sources {
  /** x for every column, then y for every column. */
  columns: Int32Array;
  /** x for every row, then y for every row. */
  rows: Int32Array;
}

/** Rotation about the centre, then the flips. */
export function sourcesOf(turn: Turn, interpolation: Interpolation): Sources {
  const { width, height, mirrorX, mirrorY } = turn;
  const { column, row } = interpolation === 'linear' ? opencv(turn) : pillow(turn);
  const columns = new Int32Array(2 * width);
  const rows = new Int32Array(2 * height);
  for (let x = 0; x < width; x++) {
    const [sourceX, sourceY] = column(mirrorX ? width - 1 - x : x);
    columns[x] = sourceX;
    columns[width + x] = sourceY;
  }
  for (let y = 0; y < height; y++) {
    const [sourceX, sourceY] = row(mirrorY ? height - 1 - y : y);
    rows[y] = sourceX;
    rows[height + y] = sourceY;
  }
  return { columns, rows };
}

type Part = (at: number) => [x: number, y: number];

/** getRotationMatrix2D about the centre of the middle pixel as albumentations calls it, then warpAffine's inversion. */
function opencv({ angle, height, width }: Turn): { column: Part; row: Part } {
  const radians = (angle * Math.PI) / 180;
  const [cos, sin] = [Math.cos(radians), Math.sin(radians)];
  const [cx, cy] = [width / 2 - 0.5, height / 2 - 0.5];
  const shift = [(1 - cos) * cx - sin * cy, sin * cx + (1 - cos) * cy] as const;
  const scale = 1 / (cos * cos + sin * sin);
  const [a, b, d, e] = [cos * scale, -sin * scale, sin * scale, cos * scale];
  const c = -a * shift[0] - b * shift[1];
  const f = -d * shift[0] - e * shift[1];
  const half = 16; // of 1/32 pixel
  return {
    column: (x) => [roundEven(a * x * 1024), roundEven(d * x * 1024)],
    row: (y) => [roundEven((b * y + c) * 1024) + half, roundEven((e * y + f) * 1024) + half],
  };
}

function pillow({ angle, height, width }: Turn): { column: Part; row: Part } {
  const radians = -((((angle % 360) + 360) % 360) * (Math.PI / 180));
  const [cos, sin] = [round15(Math.cos(radians)), round15(Math.sin(radians))];
  const [cx, cy] = [width / 2, height / 2];
  const c = cos * -cx + sin * -cy + cx;
  const f = -sin * -cx + cos * -cy + cy;
  const fixed = (value: number) => Math.floor(value * 65536 + 0.5);
  const [a0, a1, a2] = [fixed(cos), fixed(sin), fixed(c + cos * 0.5 + sin * 0.5)];
  const [a3, a4, a5] = [fixed(-sin), fixed(cos), fixed(f + -sin * 0.5 + cos * 0.5)];
  return { column: (x) => [a0 * x, a3 * x], row: (y) => [a1 * y + a2, a4 * y + a5] };
}

/** Half to even, as OpenCV rounds. */
function roundEven(value: number): number {
  const down = Math.floor(value);
  const over = value - down;
  return over > 0.5 || (over === 0.5 && down % 2 !== 0) ? down + 1 : down;
}

/** Python's round(value, 15). */
const round15 = (value: number) => Number(value.toFixed(15));
