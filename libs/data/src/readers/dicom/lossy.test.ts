// Lossy codecs overshoot the stored range at sharp edges: clamped to the range, not wrapped into air.
import { dicomBytes, sliceElements, words, type SliceElements } from './dicom.fixture.ts';
import { jpegLs, lossyJpeg2000, type Picture } from './encoders.fixture.ts';
import { readDicomSeries } from './dicom.ts';
import { toHounsfield } from './hounsfield.ts';

const [rows, columns] = [32, 32];
/** Stripes of air and metal, in samples of 16 bits of which 12 are used. */
const stripes: Picture = {
  rows,
  columns,
  bits: 16,
  samples: Array.from({ length: rows * columns }, (_, i) => ((i >> 2) % 2 === 0 ? 0 : 4095)),
};
const read = async (frame: Uint8Array, transferSyntax: string, changes: SliceElements = {}) => {
  const elements = {
    Rows: rows,
    Columns: columns,
    BitsStored: 12,
    HighBit: 11,
    PixelRepresentation: 0,
    RescaleIntercept: '0',
    PixelData: [frame],
    ...changes,
  };
  const bytes = dicomBytes(sliceElements(0, elements), { transferSyntax });
  const [scan] = await readDicomSeries([{ path: 'a', bytes }]);
  return { values: [...scan!.slices[0]!.data], findings: scan!.findings };
};
const mostDifferent = (values: readonly number[], samples: readonly number[]) =>
  Math.max(...values.map((value, i) => Math.abs(value - samples[i]!)));
const clamped = [
  {
    kind: 'clamped-samples',
    message:
      'lossy compression moved samples out of the range of BitsStored (0028,0101); they were clamped to that range (1 slice)',
  },
];

test('JPEG 2000: no value is near the other end of the range', async () => {
  const { values, findings } = await read(await lossyJpeg2000(stripes, 20), '1.2.840.10008.1.2.4.91');
  expect(Math.max(...values)).toBe(4095);
  expect(mostDifferent(values, stripes.samples)).toBeLessThan(2048);
  expect(findings).toEqual(clamped);
});

test('lossy codestreams under the transfer syntaxes of lossless ones are clamped too', async () => {
  const near = await jpegLs(stripes, 3);
  for (const [frame, syntax] of [
    [await lossyJpeg2000(stripes, 20), '90'],
    [near, '80'],
  ] as const) {
    const { values } = await read(frame, `1.2.840.10008.1.2.4.${syntax}`);
    expect(mostDifferent(values, stripes.samples)).toBeLessThan(2048);
  }
});

test('near-lossless JPEG-LS: every value within the stated error', async () => {
  const samples = stripes.samples.map((sample, i) => (sample === 0 ? i % 5 : 4095 - (i % 5)));
  const { values, findings } = await read(await jpegLs({ ...stripes, samples }, 3), '1.2.840.10008.1.2.4.81');
  expect(mostDifferent(values, samples)).toBeLessThanOrEqual(3);
  expect(findings).toEqual(clamped);
});

test('without loss the bits above BitsStored do not count, as in uncompressed files', async () => {
  const samples = stripes.samples.map((sample, i) => sample + (i % 2) * 0x1000);
  const { values, findings } = await read(await jpegLs({ ...stripes, samples }), '1.2.840.10008.1.2.4.80');
  expect([values, findings]).toEqual([stripes.samples, []]);
});

describe('the table of Hounsfield units', () => {
  const format = { rows: 1, columns: 8, bitsAllocated: 16, bitsStored: 12, highBit: 11 } as const;
  const values = (samples: number[], signed: boolean, lossy: { bits: number; signed: boolean }) => {
    const rescale = { slope: 1, intercept: 0, padding: null, paddingValue: -1024 };
    const stored = new Uint16Array(words(...samples).buffer);
    const { data, clamped } = toHounsfield({ samples: stored, lossy }, { ...format, signed }, rescale);
    return [[...data], clamped];
  };

  test('unsigned', () => {
    const samples = [0, 4095, 4096, 5000, 65535];
    expect(values(samples, false, { bits: 16, signed: false })).toEqual([[0, 4095, 4095, 4095, 4095], 2]);
    expect(values([-1, -300, 4100], false, { bits: 15, signed: true })).toEqual([[0, 0, 4095], 3]);
  });

  test('signed, coded as signed numbers', () => {
    const samples = [-2048, 2047, 2048, 3000, -2049, -4000, -1];
    const expected = [-2048, 2047, 2047, 2047, -2048, -2048, -1];
    expect(values(samples, true, { bits: 16, signed: true })).toEqual([expected, 4]);
  });

  test('signed, coded as unsigned numbers of the stored bits', () => {
    const samples = [0x0fff, 0x0800, 0x07ff, 0];
    expect(values(samples, true, { bits: 16, signed: false })).toEqual([[-1, -2048, 2047, 0], 0]);
  });

  test('padding outside the stored range stays padding', () => {
    const rescale = { slope: 1, intercept: 0, padding: { from: 63536, to: 63536 }, paddingValue: -1024 };
    const samples = Uint16Array.of(63536, 4200, 7);
    expect(
      toHounsfield({ samples, lossy: { bits: 16, signed: false } }, { ...format, signed: false }, rescale),
    ).toEqual({
      data: Int16Array.of(-1024, 4095, 7),
      padded: 1,
      clamped: 1,
    });
  });
});
