// The DICOM reader: files made here against closed forms, and one real sample per transfer syntax against pydicom. The
// whole series of samples are read in dicom.slow.test.ts.
import { UserError } from '@ct-ensemble/core';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import {
  BIG_ENDIAN,
  DEFLATED,
  dicomBytes,
  EXPLICIT,
  IMPLICIT,
  rleOf,
  sliceElements,
  words,
  type SliceElements,
} from './dicom.fixture.ts';
import { damagedAt, readOrRefuse } from './dicom-damage.fixture.ts';
import { digestOf, pydicomDigests, QUICK_SAMPLES, sampleFiles, skipped } from './dicom-samples.fixture.ts';
import { isDicom, readDicomSeries } from './dicom.ts';
import type { Scan } from '../../scan.ts';

const RLE = '1.2.840.10008.1.2.5';
const file = (path: string, bytes: Uint8Array) => ({ path, bytes });
const made = (z: number, changes?: SliceElements, options?: Parameters<typeof dicomBytes>[1]) =>
  file(`scan/z${z}.dcm`, dicomBytes(sliceElements(z, changes), options));
const valuesOf = (scan: Scan | undefined, slice = 0) => [...scan!.slices[slice]!.data];
const kinds = (scan: Scan | undefined) => scan!.findings.map(({ kind }) => kind);
const stored = [1, 2, 3, 4, 5, 6];
const hounsfield = stored.map((value) => value - 1000);

async function failureOf(files: Parameters<typeof readDicomSeries>[0]): Promise<UserError> {
  const error: unknown = await readDicomSeries(files).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(UserError);
  return error as UserError;
}

test('slices come head first, whatever the names and numbers of the files', async () => {
  const files = [0, 10, 5, 15].map((z, i) =>
    made(z, { InstanceNumber: `${i}`, PixelData: words(...stored.map(() => z)) }),
  );
  const [scan, ...others] = await readDicomSeries(files);
  expect(others).toEqual([]);
  expect(scan).toMatchObject({
    values: 'HU',
    spacing: { slices: 5, rows: 0.5, columns: 0.25 },
    patient: 'P1',
    series: '1.2.3',
    findings: [],
  });
  expect(scan!.slices.map(({ data }) => data[0])).toEqual([-985, -990, -995, -1000]);
  expect(scan!.slices[0]).toMatchObject({ height: 2, width: 3 });
});

test.each([
  ['explicit little endian', { transferSyntax: EXPLICIT }],
  ['implicit little endian', { transferSyntax: IMPLICIT }],
  ['explicit big endian', { transferSyntax: BIG_ENDIAN }],
  ['deflated', { transferSyntax: DEFLATED }],
  ['no preamble', { preamble: false }],
  ['neither preamble nor meta information, explicit', { preamble: false, meta: false }],
  [
    'neither preamble nor meta information, implicit',
    { transferSyntax: IMPLICIT, preamble: false, meta: false },
  ],
])('%s', async (_, options) => {
  const one = made(0, {}, options);
  expect(isDicom(one.bytes)).toBe(true);
  const [scan] = await readDicomSeries([one]);
  expect(valuesOf(scan)).toEqual(hounsfield);
  expect(scan!.findings).toEqual([]);
});

test('only DICOM is DICOM', () => {
  const text = (content: string) => new TextEncoder().encode(content);
  expect(isDicom(new Uint8Array())).toBe(false);
  expect(isDicom(text('patient,label\n1,covid\n'.repeat(20)))).toBe(false);
  expect(isDicom(new Uint8Array(1000))).toBe(false);
  expect(isDicom(Uint8Array.of(8, 0, 5, 0, 0xff, 0xff, 0xff, 0x7f))).toBe(false);
});

test('RLE, its fragments joined', async () => {
  const frame = rleOf(stored);
  const [whole] = await readDicomSeries([made(0, { PixelData: [frame] }, { transferSyntax: RLE })]);
  expect(valuesOf(whole)).toEqual(hounsfield);
  const [parts] = await readDicomSeries([
    made(
      0,
      { PixelData: [frame.slice(0, 40), frame.slice(40, 70), frame.slice(70)] },
      { transferSyntax: RLE },
    ),
  ]);
  expect(valuesOf(parts)).toEqual(hounsfield);
});

test('frames of one file are slices', async () => {
  const two = { NumberOfFrames: '2', ImagePositionPatient: undefined };
  const [native] = await readDicomSeries([
    made(0, { ...two, PixelData: words(...stored, 7, 8, 9, 10, 11, 12) }),
  ]);
  expect(valuesOf(native, 1)).toEqual([7, 8, 9, 10, 11, 12].map((value) => value - 1000));
  expect(kinds(native)).toEqual(['no-positions']);
  const [coded] = await readDicomSeries([
    made(0, { ...two, PixelData: [rleOf(stored), rleOf([7, 8, 9, 10, 11, 12])] }, { transferSyntax: RLE }),
  ]);
  expect(coded!.slices).toEqual(native!.slices);
});

test('an Enhanced CT: frames by their positions, each with its own rescaling', async () => {
  // Written by pydicom: samples 0 … 17 in three frames at z 10, 14, 12, intercepts −1000, −1024, −1010.
  const path = fileURLToPath(new URL('../../fixtures/enhanced-ct.dcm', import.meta.url));
  const [scan] = await readDicomSeries([{ path, bytes: await readFile(path) }]);
  expect(scan!.slices.map(({ data }) => data[0])).toEqual([6 - 1024, 12 - 1010, 0 - 1000]);
  expect(scan).toMatchObject({
    spacing: { slices: 2, rows: 0.5, columns: 0.25 },
    patient: 'P1',
    findings: [],
  });
});

test('JPEG Extended: 8 bits are read, 12 bits are refused by name', async () => {
  const grey = Uint8Array.from({ length: 256 }, (_, i) => i);
  const raw = { raw: { width: 16, height: 16, channels: 1 as const } };
  const jpeg = await sharp(grey, raw).toColourspace('b-w').jpeg({ quality: 100 }).toBuffer();
  const at = jpeg.indexOf(Buffer.of(0xff, 0xc0));
  const extended = (bits: number) => {
    const bytes = Buffer.from(jpeg);
    bytes[at + 4] = bits;
    if (bits === 12) bytes[at + 1] = 0xc1;
    const elements = {
      Rows: 16,
      Columns: 16,
      PixelRepresentation: 0,
      RescaleIntercept: '0',
      BitsStored: 12,
      HighBit: 11,
    };
    const size = bits === 8 ? { BitsAllocated: 8, BitsStored: 8, HighBit: 7 } : {};
    return made(
      0,
      { ...elements, ...size, PixelData: [bytes] },
      { transferSyntax: '1.2.840.10008.1.2.4.51' },
    );
  };
  const [scan] = await readDicomSeries([extended(8)]);
  expect(
    Math.max(...scan!.slices[0]!.data.map((value, i) => Math.abs(value - grey[i]!))),
  ).toBeLessThanOrEqual(2);
  await expect(readDicomSeries([extended(12)])).rejects.toThrow(
    /PixelData \(7FE0,0010\) holds a JPEG of 12 bits \(transfer syntax 1\.2\.840\.10008\.1\.2\.4\.51\), which is not supported → export/,
  );
});

describe('stored values', () => {
  const read = async (changes: SliceElements) =>
    (await readDicomSeries([made(0, { RescaleIntercept: '0', ...changes })]))[0];
  const bits12 = { BitsStored: 12, HighBit: 11 };

  test('bits above BitsStored do not count, and the sign is at HighBit', async () => {
    const PixelData = words(0xf001, 0x0800, 0x0fff, 0x7fff, 0x17ff, 0);
    expect(valuesOf(await read({ ...bits12, PixelData }))).toEqual([1, -2048, -1, -1, 2047, 0]);
    expect(valuesOf(await read({ ...bits12, PixelRepresentation: 0, PixelData }))).toEqual([
      1, 2048, 4095, 4095, 2047, 0,
    ]);
    const shifted = words(0x0010, 0x8000, 0xfff0, 0xffff, 0x7ff0, 0x000f);
    expect(valuesOf(await read({ BitsStored: 12, HighBit: 15, PixelData: shifted }))).toEqual([
      1, -2048, -1, -1, 2047, 0,
    ]);
  });

  test('8 bits, signed and unsigned', async () => {
    const eight = {
      BitsAllocated: 8,
      BitsStored: 8,
      HighBit: 7,
      PixelData: Uint8Array.of(0, 1, 127, 128, 254, 255),
    };
    expect(valuesOf(await read({ ...eight, PixelRepresentation: 0 }))).toEqual([0, 1, 127, 128, 254, 255]);
    expect(valuesOf(await read(eight))).toEqual([0, 1, 127, -128, -2, -1]);
  });

  test('rescaled, rounded and cut', async () => {
    const scan = await read({
      RescaleSlope: '1.5',
      RescaleIntercept: '-0.25',
      PixelData: words(0, 1, 2, 3, 30000, -30000),
    });
    expect(valuesOf(scan)).toEqual([-0, 1, 3, 4, 32767, -32768].map((value) => value + 0));
  });

  test('padding is air, by value and by range', async () => {
    const PixelData = words(-2000, -1999, 0, -1500, 5, 6);
    const one = await read({ PixelPaddingValue: -2000, PixelData });
    expect(valuesOf(one)).toEqual([-1024, -1999, 0, -1500, 5, 6]);
    expect(kinds(one)).toEqual(['padding']);
    const range = await read({ PixelPaddingValue: -2000, PixelPaddingRangeLimit: -1500, PixelData });
    expect(valuesOf(range)).toEqual([-1024, -1024, 0, -1024, 5, 6]);
    expect(kinds(await read({ PixelPaddingValue: -3000, PixelData }))).toEqual([]);
  });

  test('MONOCHROME1 is a matter of display', async () => {
    const changes = { ...bits12, PixelRepresentation: 0, PhotometricInterpretation: 'MONOCHROME1' };
    const scan = await read({ ...changes, PixelData: words(0, 1, 2047, 2048, 4094, 4095) });
    expect(valuesOf(scan)).toEqual([0, 1, 2047, 2048, 4094, 4095]);
    expect(kinds(scan)).toEqual(['monochrome1']);
  });

  test('without rescaling they are taken for Hounsfield units, with a finding', async () => {
    const scan = await read({ RescaleIntercept: undefined, RescaleSlope: undefined });
    expect(valuesOf(scan)).toEqual(stored);
    expect(kinds(scan)).toEqual(['no-rescale']);
  });
});

// 2 rows of 3: 1 2 3 / 4 5 6.
test.each([
  ['1\\0\\0\\0\\1\\0', [1, 2, 3, 4, 5, 6], 2],
  ['-1\\0\\0\\0\\1\\0', [3, 2, 1, 6, 5, 4], 2],
  ['1\\0\\0\\0\\-1\\0', [4, 5, 6, 1, 2, 3], 2],
  ['-1\\0\\0\\0\\-1\\0', [6, 5, 4, 3, 2, 1], 2],
  ['0\\1\\0\\1\\0\\0', [1, 4, 2, 5, 3, 6], 3],
  ['0\\1\\0\\-1\\0\\0', [4, 1, 5, 2, 6, 3], 3],
  ['0\\-1\\0\\1\\0\\0', [3, 6, 2, 5, 1, 4], 3],
])('orientation %s is turned', async (ImageOrientationPatient, values, height) => {
  const [scan] = await readDicomSeries(
    [10, 0].map((z) => made(z, { ImageOrientationPatient, RescaleIntercept: '0' })),
  );
  expect(valuesOf(scan)).toEqual(values);
  expect(scan!.slices[0]).toMatchObject({ height, width: 6 / height });
  const transposed = height === 3;
  expect(scan!.spacing).toEqual({
    slices: 10,
    rows: transposed ? 0.25 : 0.5,
    columns: transposed ? 0.5 : 0.25,
  });
});

test('positions are measured along the normal', async () => {
  const angle = Math.PI / 6;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const at = (t: number) => `0\\${-sin * t}\\${cos * t}`;
  const files = [0, 3, 6].map((t) =>
    made(t, { ImageOrientationPatient: `1\\0\\0\\0\\${cos}\\${sin}`, ImagePositionPatient: at(t) }),
  );
  const [scan] = await readDicomSeries(files);
  expect(scan!.spacing!.slices).toBeCloseTo(3, 6);
  expect(scan!.findings).toEqual([
    {
      kind: 'gantry-tilt',
      message: 'the slices are tilted by 30.0° from the transverse plane; the tilt is not corrected',
    },
  ]);
});

describe('findings', () => {
  test('missing slices', async () => {
    const [scan] = await readDicomSeries([0, 2, 4, 10, 12].map((z) => made(z)));
    expect(scan!.spacing!.slices).toBe(2);
    expect(scan!.findings).toEqual([
      {
        kind: 'missing-slices',
        message: 'about 2 slices missing: 1 gap of up to 6 mm where slices are 2 mm apart',
      },
    ]);
  });

  test('duplicate positions: the one with the lowest number stays', async () => {
    const again = file(
      'scan/again.dcm',
      dicomBytes(sliceElements(0, { InstanceNumber: '7', RescaleIntercept: '0' })),
    );
    const [scan] = await readDicomSeries([again, made(0), made(2)]);
    expect(scan!.slices).toHaveLength(2);
    expect(valuesOf(scan, 1)).toEqual(hounsfield);
    expect(scan!.findings).toEqual([
      {
        kind: 'duplicate-positions',
        message: '1 slice left out because another is at the same position: again.dcm',
      },
    ]);
  });

  test('several series are several scans; without a UID they are separated by size', async () => {
    const small = { SeriesInstanceUID: '', Rows: 1, PixelData: words(1, 2, 3) };
    const scans = await readDicomSeries([
      made(0),
      file('scan/b', dicomBytes(sliceElements(0, { SeriesInstanceUID: undefined }))),
      file('scan/c', dicomBytes(sliceElements(1, { SeriesInstanceUID: '' }))),
      file('scan/d', dicomBytes(sliceElements(1, small))),
      made(1),
    ]);
    expect(scans.map(({ series, slices }) => [series, slices.length])).toEqual([
      ['1.2.3', 2],
      [null, 2],
      [null, 1],
    ]);
  });

  test('localizers, other planes and other modalities are left out', async () => {
    const [scan] = await readDicomSeries([
      made(0),
      made(1, { ImageType: 'ORIGINAL\\PRIMARY\\LOCALIZER' }),
      made(2, { ImageOrientationPatient: '1\\0\\0\\0\\0\\-1' }),
      made(3, { Modality: 'PT' }),
    ]);
    expect(scan!.slices).toHaveLength(1);
    expect(scan!.findings).toEqual([
      {
        kind: 'not-axial',
        message:
          'left out because they are not axial CT slices: z1.dcm (a localizer), z2.dcm (not axial), z3.dcm (of modality PT)',
      },
    ]);
  });

  test('mixed sizes and spacings, a tilted gantry, odd windows', async () => {
    const [scan] = await readDicomSeries([
      made(0, { WindowCenter: '40\\-600', WindowWidth: '400\\1600', GantryDetectorTilt: '-12.5' }),
      made(1, { Rows: 1, PixelData: words(1, 2, 3), PixelSpacing: '1\\1' }),
    ]);
    expect(kinds(scan)).toEqual(['gantry-tilt', 'mixed-sizes', 'mixed-spacings', 'ignored-window']);
  });

  test('an unreadable file among sound ones is reported', async () => {
    const [scan] = await readDicomSeries([
      file('scan/notes.txt', new TextEncoder().encode('hello')),
      made(0),
      file('scan/cut.dcm', made(1).bytes.slice(0, -3)),
    ]);
    expect(scan!.slices).toHaveLength(1);
    expect(scan!.findings).toEqual([
      { kind: 'unreadable-file', message: 'left out: notes.txt is not a DICOM file: no DICM at byte 128' },
      {
        kind: 'unreadable-file',
        message: expect.stringMatching(
          /^left out: cut\.dcm is cut short: field PixelData \(7FE0,0010\) has 9 of its 12 bytes/,
        ) as string,
      },
    ]);
  });
});

test.each<[string, SliceElements, RegExp]>([
  ['Rows above 4096', { Rows: 5000 }, /Rows \(0028,0010\): 5000 is not a whole number from 1 to 4096/],
  ['no Columns', { Columns: undefined }, /Columns \(0028,0011\) is missing/],
  [
    'more frames than bytes',
    { NumberOfFrames: '4000' },
    /PixelData \(7FE0,0010\) has 12 bytes, but 4000 × 2 × 3 samples take 48000/,
  ],
  ['too many frames', { NumberOfFrames: '2000000000' }, /NumberOfFrames \(0028,0008\)/],
  ['colour', { SamplesPerPixel: 3 }, /SamplesPerPixel \(0028,0002\)/],
  ['12 bits without padding', { BitsAllocated: 12, BitsStored: 12 }, /BitsAllocated \(0028,0100\)/],
  ['a slope of 0', { RescaleSlope: '0' }, /RescaleSlope \(0028,1053\) is 0/],
  ['a slope that is text', { RescaleSlope: 'one' }, /RescaleSlope \(0028,1053\)/],
  ['no pixel data', { PixelData: undefined }, /PixelData \(7FE0,0010\) is missing/],
])('%s is an error', async (_, changes, message) => {
  const error = await failureOf([made(0, changes)]);
  expect(error.message).toMatch(message);
  expect(error.file).toBe('scan/z0.dcm');
});

test.each([
  {
    what: 'an unknown transfer syntax',
    transferSyntax: '1.2.3.4',
    frame: new Uint8Array(20),
    message: /transfer syntax 1\.2\.3\.4 is not supported/,
  },
  {
    what: 'an RLE segment beyond the end',
    transferSyntax: RLE,
    frame: new Uint8Array(80).fill(0x7f),
    message: /does not hold 2 RLE segments/,
  },
  {
    what: 'a JPEG of another size',
    transferSyntax: '1.2.840.10008.1.2.4.70',
    frame: Uint8Array.of(0xff, 0xd8, 0xff, 0xc3, 0, 11, 16, 255, 255, 255, 255, 1, 0, 17, 0),
    message: /65535 × 65535, the header says 2 × 3/,
  },
  {
    what: 'something that is no JPEG 2000',
    transferSyntax: '1.2.840.10008.1.2.4.90',
    frame: new Uint8Array(64),
    message: /does not hold an image of its transfer syntax/,
  },
])('$what is an error', async ({ transferSyntax, frame, message }) => {
  const error = await failureOf([made(0, { PixelData: [frame] }, { transferSyntax })]);
  expect(error.message).toMatch(message);
});

test('JPEG baseline', async () => {
  const grey = Uint8Array.from({ length: 16 * 24 }, (_, i) => (i % 24) * 10);
  const jpeg = await sharp(grey, { raw: { width: 24, height: 16, channels: 1 } })
    .toColourspace('b-w')
    .jpeg()
    .toBuffer();
  const expected = await sharp(jpeg).toColourspace('b-w').raw().toBuffer();
  const bits = { BitsAllocated: 8, BitsStored: 8, HighBit: 7, PixelRepresentation: 0, RescaleIntercept: '0' };
  const changes = { ...bits, Rows: 16, Columns: 24, PixelData: [new Uint8Array(jpeg)] };
  const [scan] = await readDicomSeries([made(0, changes, { transferSyntax: '1.2.840.10008.1.2.4.50' })]);
  expect(valuesOf(scan)).toEqual([...expected]);
});

test('more voxels than a CT has are refused before memory is taken', async () => {
  const claim = { Rows: 4096, Columns: 4096, NumberOfFrames: '65' }; // 64 are 2 ** 30 voxels
  expect((await failureOf([made(0, claim, { transferSyntax: RLE })])).message).toMatch(
    /4096 × 4096 × 65 voxels; a CT scan may have at most 1073741824/,
  );
});

test('nothing readable, or nothing axial, is an error', async () => {
  expect((await failureOf([])).message).toMatch(/no DICOM file/);
  const text = new TextEncoder().encode('x');
  expect((await failureOf([file('a', text), file('b', text)])).message).toMatch(
    /a: is not a DICOM file.*none of the 2 files can be read/,
  );
  expect((await failureOf([made(0, { ImageType: 'LOCALIZER' })])).message).toMatch(
    /no axial CT slice.*a localizer/,
  );
});

test('damage anywhere is an error or a scan, never something else', async () => {
  const sound = made(0).bytes;
  for (let at = 0; at < sound.length; at += 61)
    for (const bytes of damagedAt(sound, at)) await readOrRefuse(bytes);
});

(skipped === '' ? test : test.skip).each(QUICK_SAMPLES)(`%s has pydicom's values${skipped}`, async (name) => {
  const scans = await readDicomSeries(await sampleFiles(name));
  expect(scans.map(digestOf)).toEqual([pydicomDigests[name]]);
});
