import sharp from 'sharp';
import { textPixels, textWidth } from './bitmap-font.ts';
import {
  COLOURS,
  drawContactSheet,
  FRAME,
  placesOf,
  TILE,
  tileImage,
  type ContactSheet,
  type Tile,
} from './contact-sheet.ts';
import type { Place } from './canvas.ts';
import type { GreyImage } from '../scan.ts';

const flat = (value: number, { height = TILE, width = TILE } = {}): GreyImage => ({
  height,
  width,
  data: new Uint8Array(height * width).fill(value),
});
const sheetOf = (tiles: readonly Tile[], more: Partial<ContactSheet> = {}): ContactSheet => ({
  lines: ['train/covid/ct_scan_1', '3 slices'],
  legend: [{ colour: 'kept', text: 'kept' }],
  sections: [{ title: 'slices', tiles }],
  ...more,
});

/** Draws the sheet and decodes it again: its pixels, and the place of each tile of the first section. */
async function drawn(sheet: ContactSheet) {
  const { png, small } = await drawContactSheet(sheet);
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  const pixel = ({ x, y }: Place, dx = 0, dy = 0) => {
    const at = ((y + dy) * info.width + x + dx) * info.channels;
    return [...data.subarray(at, at + 3)];
  };
  return { pixel, info, small, tiles: placesOf(sheet).sections[0]!.tiles };
}

test('the frame shows the state of a slice, and dropped slices are dimmed', async () => {
  const states = ['kept', 'dropped', 'unreadable'] as const;
  const sheet = sheetOf(
    states.map((state, i) => ({ label: `${i}`, state, image: state === 'unreadable' ? null : flat(200) })),
  );
  const { pixel, tiles } = await drawn(sheet);
  for (const [i, state] of states.entries()) {
    const last = TILE + FRAME - 1;
    for (const [dx, dy] of [
      [-FRAME, -FRAME],
      [-1, 40],
      [40, -1],
      [last, last],
    ])
      expect(pixel(tiles[i]!, dx, dy)).toEqual(COLOURS[state]);
  }
  expect(pixel(tiles[0]!, 10, 40)).toEqual([200, 200, 200]);
  expect(pixel(tiles[1]!, 10, 40)).toEqual([90, 90, 90]);
  expect(pixel(tiles[2]!, 40, 40)).toEqual(COLOURS.unreadable); // the cross
});

test("the outline lies on the mask's own outermost pixels", async () => {
  const mask = flat(0);
  for (let y = 20; y < 60; y++) mask.data.fill(1, y * TILE + 30, y * TILE + 70);
  const { pixel, tiles } = await drawn(sheetOf([{ label: '0', state: 'kept', image: flat(50), mask }]));
  const grey = [50, 50, 50];
  const edges = { left: [30, 40], right: [69, 40], top: [50, 20], bottom: [50, 59] };
  for (const [dx, dy] of Object.values(edges)) expect(pixel(tiles[0]!, dx, dy)).toEqual(COLOURS.outline);
  for (const [dx, dy] of [
    [29, 40],
    [31, 40],
    [70, 40],
    [68, 40],
    [50, 19],
    [50, 21],
    [50, 60],
    [50, 58],
    [50, 40],
  ])
    expect(pixel(tiles[0]!, dx, dy)).toEqual(grey);
});

test("a mask of another size is drawn at the tile's", async () => {
  const mask = {
    height: 4,
    width: 4,
    data: Uint8Array.from([0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1]),
  };
  const { pixel, tiles } = await drawn(sheetOf([{ label: '0', state: 'kept', image: flat(50), mask }]));
  expect(pixel(tiles[0]!, 48, 40)).toEqual(COLOURS.outline);
  expect(pixel(tiles[0]!, 46, 40)).toEqual([50, 50, 50]);
  expect(pixel(tiles[0]!, 95, 40)).toEqual([50, 50, 50]); // the picture's edge is none of the mask's
});

test('a slice that is not square keeps its proportions, in the middle of its tile', async () => {
  const image = tileImage(flat(80, { height: 100, width: 400 }));
  expect([image.height, image.width]).toEqual([24, 96]);
  const { pixel, tiles } = await drawn(sheetOf([{ label: '0', state: 'kept', image }]));
  expect(pixel(tiles[0]!, 0, 36)).toEqual([80, 80, 80]);
  expect(pixel(tiles[0]!, 95, 59)).toEqual([80, 80, 80]);
  expect(pixel(tiles[0]!, 40, 35)).not.toEqual([80, 80, 80]);
  expect(pixel(tiles[0]!, 40, 60)).not.toEqual([80, 80, 80]);
});

test('a tile is labelled below, and marked at the right', async () => {
  const { pixel, tiles } = await drawn(
    sheetOf([
      { label: '1', state: 'kept', image: flat(0), isMarked: true },
      { label: '1', state: 'kept', image: flat(0) },
    ]),
  );
  const below = TILE + FRAME + 4;
  const [ink, paper] = [pixel(tiles[0]!, 2, below), pixel(tiles[0]!, 0, below)]; // a 1 has no pixel at its upper left
  expect(ink).not.toEqual(paper);
  expect(pixel(tiles[0]!, TILE - 4, below + 3)).toEqual(COLOURS.used);
  expect(pixel(tiles[1]!, TILE - 4, below + 3)).toEqual(paper);
});

test('tiles fill rows, sections stand below each other, and the picture holds them', async () => {
  const tile: Tile = { label: '0', state: 'kept', image: flat(9) };
  const sections = [
    { title: 'one', tiles: Array<Tile>(17).fill(tile) },
    { title: 'two', tiles: [tile] },
  ];
  const sheet = sheetOf([], { sections });
  const { sections: places, ...size } = placesOf(sheet);
  const [one, two] = places.map(({ tiles }) => tiles);
  expect(one![15]!.y).toBe(one![0]!.y);
  expect(one![16]!.x).toBe(one![0]!.x);
  expect(one![16]!.y).toBeGreaterThan(one![0]!.y + TILE);
  expect(two![0]!.y).toBeGreaterThan(one![16]!.y + TILE);
  const { info, pixel } = await drawn(sheet);
  expect([info.width, info.height]).toEqual([size.width, size.height]);
  expect(pixel(two![0]!, 5, 5)).toEqual([9, 9, 9]);
  expect(pixel(one![15]!, TILE + FRAME - 1, 0)).toEqual(COLOURS.kept);
});

test('the same sheet gives the same bytes, and the small one is a JPEG', async () => {
  const sheet = sheetOf([{ label: '0', state: 'kept', image: flat(7) }], {
    lines: [`a name longer than the sheet ${'x'.repeat(500)}`, '中文'],
  });
  const [first, second] = [await drawContactSheet(sheet), await drawContactSheet(sheet)];
  expect(Buffer.compare(first.png, second.png)).toBe(0);
  expect(await sharp(first.small).metadata()).toMatchObject({ format: 'jpeg', width: 424 });
});

test('every character of a name has its own glyph, others become question marks', () => {
  const characters = [..."0123456789.,:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_/()+×='#~%? "];
  const glyphs = characters.map((character) => JSON.stringify(textPixels(character)));
  expect(new Set(glyphs).size).toBe(characters.length);
  expect(textPixels('中')).toEqual(textPixels('?'));
  expect(textPixels(' 1')).toEqual(textPixels('1').map(({ x, y }) => ({ x: x + textWidth(' '), y })));
});
