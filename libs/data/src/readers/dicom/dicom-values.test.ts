// `--values` and rescale offsets for DICOM, through the entry of the preparation: grey values against closed forms.
import { openSlices } from '../slice-source.ts';
import { readChosenSeries } from './dicom-values.ts';
import {
  BIG_ENDIAN,
  dicomBytes,
  IMPLICIT,
  sliceElements,
  words,
  type SliceElements,
} from './dicom.fixture.ts';

const unsigned = { PixelRepresentation: 0, RescaleIntercept: '0' };
const noRescale = { PixelRepresentation: 0, RescaleIntercept: undefined, RescaleSlope: undefined };
const filesOf = (changes: SliceElements, stored: readonly number[], transferSyntax?: string) =>
  [0, 1].map((z) => ({
    path: `${z}.dcm`,
    bytes: dicomBytes(sliceElements(z, { ...changes, PixelData: words(...stored) }), {
      ...(transferSyntax !== undefined && { transferSyntax }),
    }),
  }));

/** The grey values of the upper slice, and the kinds of the findings, as the preparation gets them. */
async function opened(files: ReturnType<typeof filesOf>, values?: string) {
  const slices = files.map(({ path }) => path);
  const read = files.map(({ bytes }) => ({ bytes, problem: null }));
  const source = await openSlices({ format: 'dicom', slices }, read, { values });
  const { image } = await source.decode(0);
  return { grey: [...image.data], findings: source.findings.map(({ kind }) => kind) };
}

/** Black −1150 HU, white 350 HU, in 255 steps, halves upwards: the rule of docs/scans.md. */
const greyOf = (hounsfield: number) =>
  Math.min(255, Math.max(0, Math.floor(((hounsfield + 1150) / 1500) * 255 + 0.5)));

// Hounsfield units at whose grey values an error of a few units shows: air, lung, fat, water, muscle, white.
const hounsfield = [-1024, -853, -101, 0, 47, 347];

test.each<[string, number, SliceElements]>([
  ['hu', 0, { RescaleIntercept: '0' }],
  ['hu', 0, { RescaleIntercept: '-1024', PixelRepresentation: 0 }],
  ['hu+1024', 1024, unsigned],
  ['hu+1024', 1024, noRescale],
  ['hu+32768', 32768, unsigned],
  ['hu+32768', 32768, noRescale],
])('--values %s: the rescaled value minus %d', async (values, offset, changes) => {
  const intercept = Number(changes.RescaleIntercept ?? 0);
  const stored = hounsfield.map((value) => value + offset - intercept);
  for (const syntax of [undefined, IMPLICIT, BIG_ENDIAN]) {
    const files = filesOf(changes, stored, syntax);
    const { series, offset: left } = await readChosenSeries(files, values);
    expect([left, [...series[0]!.slices[0]!.data]]).toEqual([0, hounsfield]);
    const { grey, findings } = await opened(files, values);
    expect(grey).toEqual(hounsfield.map(greyOf));
    expect(findings).toEqual(
      changes.RescaleSlope === undefined && 'RescaleSlope' in changes ? ['no-rescale'] : [],
    );
  }
});

test('an offset is subtracted behind slope and intercept, then rounded and clamped to 16 bits', async () => {
  const stored = [0, 1, 2, 3, 20000, 65535];
  const files = filesOf({ PixelRepresentation: 0, RescaleSlope: '1.5', RescaleIntercept: '-0.25' }, stored);
  const expected = (offset: number) =>
    stored.map((value) => Math.min(32767, Math.max(-32768, Math.floor(value * 1.5 - 0.25 - offset + 0.5))));
  for (const [values, offset] of [
    ['hu', 0],
    ['hu+1024', 1024],
    ['hu+32768', 32768],
  ] as const) {
    // prettier-ignore
    const { series } = await readChosenSeries(files, values);
    expect([...series[0]!.slices[0]!.data].map((value) => value + 0)).toEqual(expected(offset));
  }
});

test('each file has its own rescaling', async () => {
  const rescalings = [['1', '-1024'], ['0.5', '-1000'], ['2', '24']] as const; // prettier-ignore
  const files = rescalings.map(([RescaleSlope, RescaleIntercept], z) => ({
    path: `${z}.dcm`,
    bytes: dicomBytes(
      sliceElements(z, { RescaleSlope, RescaleIntercept, PixelData: words(0, 2, 4, 6, 8, 10) }),
    ),
  }));
  for (const [values, offset] of [
    ['hu', 0],
    ['hu+1024', 1024],
  ] as const) {
    // prettier-ignore
    const { series } = await readChosenSeries(files, values);
    expect(series).toHaveLength(1);
    const expected = rescalings.map(([slope, intercept]) =>
      [0, 2, 4, 6, 8, 10].map((stored) => stored * Number(slope) + Number(intercept) - offset),
    );
    expect(series[0]!.slices.map(({ data }) => [...data])).toEqual(expected.toReversed()); // head first
  }
});

test('padding is air for every choice of Hounsfield units, and black for grey values', async () => {
  const files = filesOf({ ...unsigned, PixelPaddingValue: 65535 }, [65535, 924, 1024, 1071, 1224, 1374]);
  const { grey, findings } = await opened(files, 'hu+1024');
  expect(grey).toEqual([-1024, -100, 0, 47, 200, 350].map(greyOf));
  expect(findings).toEqual(['padding']);
  const eight = filesOf({ ...unsigned, PixelPaddingValue: 65535 }, [65535, 0, 1, 128, 254, 255]);
  expect((await opened(eight, 'grey')).grey).toEqual([0, 0, 1, 128, 254, 255]);
  const sixteen = filesOf({ ...unsigned, PixelPaddingValue: 31744 }, [31744, 0, 257, 32896, 65278, 65535]);
  expect((await opened(sixteen, 'grey')).grey).toEqual([0, 0, 1, 128, 254, 255]);
});

test.each<[string, readonly number[], number]>([
  ['0 … 255', [0, 51, 102, 153, 204, 255], 255],
  ['0 … 65535', [0, 13107, 26214, 39321, 52428, 65535], 65535],
])('grey values %s as grey and by a window', async (_, stored, white) => {
  const files = filesOf(unsigned, stored);
  expect((await opened(files, 'grey')).grey).toEqual(stored.map((value) => (value / white) * 255));
  const windowed = stored.map((value) => greyOf(Math.floor(-1000 + (value / white) * 1400 + 0.5)));
  expect((await opened(files, 'window:-1000,400')).grey).toEqual(windowed);
});

test.each<[string, readonly number[], RegExp]>([
  [
    '12-bit values',
    [0, 1000, 2000, 3000, 4000, 4095],
    /--values grey: its values 0 … 4095 are not grey values/,
  ],
  ['negative values', [-1000, 0, 1, 2, 3, 255], /--values grey: its values −1000 … 255 are not grey values/],
  [
    'fractions of 1',
    [0, 0, 1, 1, 0, 1],
    /--values grey: the rescaled values are within 0 … 1, and are rounded/,
  ],
])('refused as grey: %s', async (_, stored, message) => {
  const files = filesOf({ RescaleIntercept: '0' }, stored);
  await expect(opened(files, 'grey')).rejects.toThrow(message);
  await expect(opened(files, 'grey')).rejects.toThrow(/^0\.dcm: /);
});

test('without a choice, an offset of 32768 that 16 bits cut off is refused with the choice that reads it', async () => {
  const chest = [31744, 31868, 31968, 32068, 32715, 32815]; // air, three times lung, fat, muscle
  const files = filesOf(unsigned, chest);
  await expect(opened(files)).rejects.toThrow(/Hounsfield units \+ 32768.* → say so with --values hu\+32768/);
  expect((await opened(files, 'hu+32768')).grey).toEqual(chest.map((value) => greyOf(value - 32768)));
});
