// The rule for what the numbers of a scan are, on the histogram of a chest: padding, air, lung, soft tissue, bone.
import sharp from 'sharp';
import { greyOfHU } from '../scan.ts';
import { scanOf } from '../testing/dataset.fixture.ts';
import { openSlices, readSliceFiles } from './slice-source.ts';
import { niftiFile } from './nifti/nifti.fixture.ts';
import { readNifti } from './nifti/nifti.ts';
import { beginsAsHounsfield, decide, parseValues, ValueCounts } from './values.ts';

/** 400 Hounsfield units: a quarter each air and lung, nearly half tissue, the rest bone. */
const chest = Array.from({ length: 400 }, (_, i) =>
  i < 100 ? -1024 + (i % 30) : i < 200 ? -900 + 2 * i : i < 392 ? -100 + (i % 190) : 700,
);
const countsOf = (values: readonly number[]) => {
  const counts = new ValueCounts();
  counts.add(values);
  return counts;
};
const decided = (values: readonly number[]) => decide(countsOf(values));
const shifted = (offset: number) => chest.map((value) => value + offset);
/** The chest in grey, black −1150 HU and white 350 HU, on a scale to `white`. */
const scaled = (white: number) =>
  chest.map((value) => Math.max(0, Math.min(white, ((value + 1150) / 1500) * white)));

test('Hounsfield units are read as they are, without a word, from the beginning alone', () => {
  expect(decided(chest)).toEqual({ reading: { kind: 'hu', offset: 0 }, padding: null, findings: [] });
  expect(beginsAsHounsfield(chest)).toBe(true);
  expect(beginsAsHounsfield(shifted(1024))).toBe(false);
});

test.each([1024, 32768])('Hounsfield units + %d are found, also with an area outside the image', (offset) => {
  const found = decided(shifted(offset));
  expect([found.reading, found.padding]).toEqual([{ kind: 'hu', offset }, null]);
  expect(found.findings).toMatchObject([{ kind: 'offset-values' }]);
  const padding = offset === 1024 ? -2000 : 0;
  const padded = [...shifted(offset), ...Array<number>(100).fill(padding)];
  expect(decided(padded)).toMatchObject({ reading: { kind: 'hu', offset }, padding });
  expect(beginsAsHounsfield(padded)).toBe(false);
});

test('grey values 0 … 1 and 0 … 255 are read as grey, with a finding', () => {
  for (const white of [1, 255]) {
    const { reading, findings } = decided(scaled(white));
    expect(reading).toEqual({ kind: 'grey', white, window: null });
    expect(findings).toMatchObject([{ kind: 'grey-volume' }]);
  }
});

test.each<[string, readonly number[], RegExp]>([
  ['a mask', [0, 0, 0, 1, 1, 2], /3 different ones only, as in a mask of labels/],
  ['12-bit grey values', scaled(4095).map(Math.round), /none is below -200/],
  ['a window of Hounsfield units', chest.map((v) => Math.max(-160, Math.min(240, v))), /none is below -200/],
  ['standardised values', chest.map((v) => v / 500), /none is below -200/],
  ['Hounsfield units − 32768', shifted(-31000), /none is above −1024/],
])('refused: %s', (_, values, message) => {
  expect(() => decided(values)).toThrow(message);
});

test('a choice is read from the command line in one form, and is followed', () => {
  expect(['HU', ' hu+1024 ', 'grey', 'window: -1000 , 400.0'].map(parseValues)).toEqual([
    'hu',
    'hu+1024',
    'grey',
    'window:-1000,400',
  ]);
  for (const text of ['', 'hu+1000', 'window:400,-1000', 'window:1', 'window:-99999,1'])
    expect(() => parseValues(text)).toThrow(/It must be hu/);
  expect(() => decide(countsOf(shifted(1024)), { choice: 'grey' })).toThrow(
    /--values grey: .* not grey values/,
  );
});

test('a volume by each choice', async () => {
  const read = (values: number[], choice: string) =>
    readNifti({ path: 'a.nii', bytes: niftiFile({ dims: [3, 1, 1], values, type: 'float32' }) }, choice);
  const valuesOf = async (values: number[], choice: string) => {
    const { slices, values: kind } = await read(values, choice);
    return [kind, [...slices[0]!.data]];
  };
  expect(await valuesOf([0, 1024, 4000], 'hu+1024')).toEqual(['HU', [-1024, 0, 2976]]);
  expect(await valuesOf([31744, 32768, 40000], 'hu+32768')).toEqual(['HU', [-1024, 0, 7232]]);
  expect(await valuesOf([0, 0.5, 1], 'grey')).toEqual(['grey', [0, 128, 255]]);
  expect(await valuesOf([0, 51, 255], 'grey')).toEqual(['grey', [0, 51, 255]]);
  expect(await valuesOf([0, 0.25, 1], 'window:-1000,400')).toEqual(['HU', [-1000, -650, 400]]);
});

describe('images', () => {
  const png = (values: readonly number[], bits: 8 | 16) => {
    const raw = { width: 20, height: 20, channels: 1 as const };
    const image =
      bits === 8
        ? sharp(Uint8Array.from(values), { raw })
        : sharp(Uint16Array.from(values), { raw }).toColourspace('grey16');
    return image.png().toBuffer();
  };
  const opened = async (bytes: Buffer, values?: string) => {
    const scan = await scanOf([bytes]);
    const source = await openSlices(scan, await readSliceFiles(scan.slices), { values });
    return { findings: source.findings.map(({ kind }) => kind), ...(await source.decode(0)) };
  };

  test.each([1024, 32768])(
    '16 bits: Hounsfield units + %d become grey as those of other formats do',
    async (offset) => {
      const { findings, image, loss } = await opened(await png(shifted(offset), 16));
      expect([findings, loss]).toEqual([['offset-values'], null]);
      expect([...image.data]).toEqual(chest.map(greyOfHU));
    },
  );

  test('16 bits of grey are scaled, 12 of them are refused unless a choice is given', async () => {
    const { findings, image, loss } = await opened(await png(scaled(65535), 16));
    expect([findings, loss]).toEqual([[], '16 bits scaled to 8']);
    expect(image.data[399]).toBe(greyOfHU(700));
    const twelve = await png(scaled(4095), 16);
    await expect(opened(twelve)).rejects.toThrow(/0\.png: in 16-bit PNG files it is not sure .* --values/);
    expect((await opened(twelve, 'grey')).image.data[399]).toBe(16);
  });

  test('8 bits of another window', async () => {
    const bytes = await png(
      chest.map((_, i) => i % 256),
      8,
    );
    const { image } = await opened(bytes, 'window:-1000,400');
    expect(image.data[51]).toBe(greyOfHU(-1000 + 0.2 * 1400));
    await expect(opened(bytes, 'hu')).rejects.toThrow(/8 bits, which cannot hold --values hu/);
  });
});
