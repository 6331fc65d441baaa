// Data sets that are encoded unusually and that pydicom or GDCM read, and sequences nested too deep.
import { cpuTime } from '../../testing/damage.fixture.ts';
import {
  BIG_ENDIAN,
  dicomBytes,
  EXPLICIT,
  IMPLICIT,
  sliceElements,
  words,
  type FileOptions,
} from './dicom.fixture.ts';
import { jpegLossless } from './encoders.fixture.ts';
import { readDicomSeries } from './dicom.ts';

const stored = [1, 2, 3, 4, 5, 6];
const hounsfield = stored.map((value) => value - 1000);
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const read = async (options: FileOptions, changes = {}) => {
  const bytes = dicomBytes(sliceElements(0, changes), options);
  const [scan] = await readDicomSeries([{ path: 'a.dcm', bytes }]);
  expect(scan!.findings).toEqual([]);
  return [...scan!.slices[0]!.data];
};

const ITEM = 'feff00e0';
const ITEM_END = 'feff0de0 00000000';
const SEQUENCE_END = 'feffdde0 00000000';
/** Rows (0028,0010) = 99 within a sequence, which must not be taken for the image's. */
const implicitRows = '28001000 02000000 6300';
const explicitRows = '28001000 5553 0200 6300';

test.each([
  ['implicit items of undefined length', `${ITEM} ffffffff ${implicitRows} ${ITEM_END}`],
  ['implicit items of known length', `${ITEM} 0a000000 ${implicitRows}`],
  ['explicit items', `${ITEM} ffffffff ${explicitRows} ${ITEM_END}`],
  ['no items', ''],
])('a sequence of VR UN and undefined length: %s', async (_, items) => {
  const raw = { '00091001': hex(`09000110 554e 0000 ffffffff ${items} ${SEQUENCE_END}`) };
  expect(await read({ raw })).toEqual(hounsfield);
});

test('a private element of VR OB and undefined length, whose fragments are no data sets', async () => {
  const fragments = `${ITEM} 00000000 ${ITEM} 04000000 ffffffff`;
  const raw = { '00091001': hex(`09000110 4f42 0000 ffffffff ${fragments} ${SEQUENCE_END}`) };
  expect(await read({ raw })).toEqual(hounsfield);
});

test('an element of VR AT, explicit and implicit', async () => {
  expect(await read({ raw: { '00280009': hex('28000900 4154 0400 18006310') } })).toEqual(hounsfield);
  const raw = { '00280009': hex('28000900 04000000 18006310') };
  expect(await read({ raw, transferSyntax: IMPLICIT })).toEqual(hounsfield);
});

test('an implicit element within an explicit data set', async () => {
  expect(await read({ raw: { '00091001': hex('09000110 04000000 01020304') } })).toEqual(hounsfield);
});

test.each([
  ['explicit', EXPLICIT, IMPLICIT],
  ['implicit', IMPLICIT, EXPLICIT],
  ['big endian', BIG_ENDIAN, EXPLICIT],
])('the transfer syntax says %s, the data set is encoded otherwise', async (_, transferSyntax, encodedAs) => {
  expect(await read({ transferSyntax, encodedAs })).toEqual(hounsfield);
});

test('big-endian samples of 8 bits, written as words and as bytes (GDCM and pydicom give the same)', async () => {
  const eight = { BitsAllocated: 8, BitsStored: 8, HighBit: 7, PixelRepresentation: 0 };
  const raw = (vr: string, bytes: string) => ({ '7FE00010': hex(`7fe00010 ${vr} 0000 00000006 ${bytes}`) });
  const changes = { ...eight, PixelData: undefined };
  const options = { transferSyntax: BIG_ENDIAN };
  expect(await read({ ...options, raw: raw('4f57', '020104030605') }, changes)).toEqual(hounsfield);
  expect(await read({ ...options, raw: raw('4f42', '010203040506') }, changes)).toEqual(hounsfield);
});

test('a value representation of two blanks, with a length of four bytes (GDCM)', async () => {
  expect(await read({ raw: { '00091001': hex('09000110 2020 0000 04000000 01020304') } })).toEqual(
    hounsfield,
  );
});

test('big endian without preamble and meta information', async () => {
  const options = { transferSyntax: BIG_ENDIAN, preamble: false, meta: false };
  expect(await read(options)).toEqual(hounsfield);
});

test('samples of 32 bits, and a HighBit below BitsStored (pydicom)', async () => {
  const wide = new Uint8Array(Int32Array.from(stored).buffer);
  const bits = (BitsAllocated: number, HighBit: number) => ({
    BitsAllocated,
    BitsStored: BitsAllocated,
    HighBit,
  });
  expect(await read({}, { ...bits(32, 31), PixelData: wide })).toEqual(hounsfield);
  expect(await read({}, bits(16, 11))).toEqual(hounsfield);
  const large = new Uint8Array(Int32Array.of(1, 2, 3, 4, 5, 70000).buffer);
  await expect(read({}, { ...bits(32, 31), PixelData: large })).rejects.toThrow(/holds a sample of 70000/);
});

test('the private syntax of GE: implicit little endian, pixel data big endian', async () => {
  const options = { transferSyntax: '1.2.840.113619.5.2', encodedAs: IMPLICIT };
  expect(await read(options, { PixelData: words(...stored.map((value) => value << 8)) })).toEqual(hounsfield);
});

test('NumberOfFrames 0 means one frame', async () => {
  expect(await read({}, { NumberOfFrames: '0' })).toEqual(hounsfield);
  expect(
    await read(
      { transferSyntax: '1.2.840.10008.1.2.4.70' },
      { NumberOfFrames: '0', PixelData: [jpegOf(stored)] },
    ),
  ).toEqual(hounsfield);
});

test('a patient is named in the character set of the file', async () => {
  const patient = (SpecificCharacterSet: string, name: Uint8Array) =>
    readDicomSeries([
      {
        path: 'a',
        bytes: dicomBytes(
          sliceElements(0, { SpecificCharacterSet, PatientID: Buffer.from(name).toString('latin1') }),
        ),
      },
    ]).then(([scan]) => scan!.patient);
  expect(await patient('ISO_IR 192', Buffer.from('Ü-7'))).toBe('Ü-7');
  expect(await patient('ISO_IR 100', Buffer.from('Ü-7', 'latin1'))).toBe('Ü-7');
  expect(await patient('GB18030', hex('d6d031'))).toBe('中1');
});

const jpegOf = (samples: readonly number[]) => jpegLossless({ rows: 2, columns: 3, samples, bits: 12 });

describe('fragments of several frames', () => {
  const second = [7, 8, 9, 10, 11, 12];
  const [a, b] = [jpegOf(stored), jpegOf(second)].map((frame) =>
    frame.length % 2 === 0 ? frame : Uint8Array.of(...frame, 0),
  );
  const parts = [a!.slice(0, 40), a!.slice(40), b!.slice(0, 30), b!.slice(30, 50), b!.slice(50)];
  const u32 = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer);
  const item = (bytes: Uint8Array) => Buffer.concat([hex(ITEM), u32(bytes.length), bytes]);
  const pixelData = (table: Uint8Array, fragments: readonly Uint8Array[]) =>
    Buffer.concat([
      hex('e07f1000 4f42 0000 ffffffff'),
      item(table),
      ...fragments.map(item),
      hex(SEQUENCE_END),
    ]);
  const slices = async (raw: Record<string, Uint8Array>, frames = 2) => {
    const changes = { NumberOfFrames: `${frames}`, PixelData: undefined, ImagePositionPatient: undefined };
    const bytes = dicomBytes(sliceElements(0, changes), { transferSyntax: '1.2.840.10008.1.2.4.70', raw });
    const [scan] = await readDicomSeries([{ path: 'a.dcm', bytes }]);
    return scan!.slices.map(({ data }) => [...data]);
  };
  const both = [hounsfield, second.map((value) => value - 1000)];
  const startOfSecond = a!.length + 2 * 8;

  test('assigned by the markers that a JPEG begins and ends with', async () => {
    expect(await slices({ '7FE00010': pixelData(new Uint8Array(), parts) })).toEqual(both);
  });

  test('assigned by the Basic Offset Table', async () => {
    expect(await slices({ '7FE00010': pixelData(u32(0, startOfSecond), parts) })).toEqual(both);
    const wrong = u32(0, startOfSecond + 2); // the markers are used instead
    expect(await slices({ '7FE00010': pixelData(wrong, parts) })).toEqual(both);
    await expect(slices({ '7FE00010': pixelData(u32(0, 1, 2), parts) }, 3)).rejects.toThrow(
      /5 fragments for 3 frames, and neither its offset table nor markers assign them/,
    );
  });

  test('assigned by the Extended Offset Table', async () => {
    const table = Buffer.concat([hex('e07f0100 4f56 0000 10000000'), u32(0, 0, startOfSecond, 0)]);
    const raw = { '7FE00001': table, '7FE00010': pixelData(new Uint8Array(), parts) };
    expect(await slices(raw)).toEqual(both);
  });

  test('that do not make as many frames as the header states are refused', async () => {
    await expect(slices({ '7FE00010': pixelData(new Uint8Array(), parts) }, 3)).rejects.toThrow(
      /5 fragments for 3 frames, and neither an offset table nor markers/,
    );
  });
});

test('compressed data under an uncompressed transfer syntax are refused, the reverse if the length is another', async () => {
  await expect(read({}, { PixelData: [jpegOf(stored)] })).rejects.toThrow(
    /PixelData \(7FE0,0010\) is compressed, but the transfer syntax 1\.2\.840\.10008\.1\.2\.1 is not/,
  );
  const options = { transferSyntax: '1.2.840.10008.1.2.4.70', encodedAs: EXPLICIT };
  expect(await read(options)).toEqual(hounsfield); // as GDCM
  await expect(read(options, { PixelData: words(...stored, 0) })).rejects.toThrow(
    /is not compressed, but the transfer syntax 1\.2\.840\.10008\.1\.2\.4\.70 is/,
  );
});

describe('sequences nested 100 000 deep', () => {
  const depth = 100_000;

  test('with undefined lengths are refused at once', async () => {
    const start = hex(`09000110 5351 0000 ffffffff ${ITEM} ffffffff`);
    const end = hex(`${ITEM_END} ${SEQUENCE_END}`);
    const nested = Buffer.concat([...Array<Buffer>(depth).fill(start), ...Array<Buffer>(depth).fill(end)]);
    const started = cpuTime();
    await expect(read({ raw: { '00091001': nested } })).rejects.toThrow(
      /a\.dcm: has sequences nested more than 64 deep/,
    );
    expect(cpuTime() - started).toBeLessThan(2000);
  });

  test('with known lengths are skipped, and refused where the reader looks into them', async () => {
    const nestedIn = (tag: string) => {
      const levels = Array.from({ length: depth }, (_, level) => {
        const inner = (depth - level - 1) * 20;
        const bytes = hex(`${tag} 5351 0000 00000000 ${ITEM} 00000000`);
        bytes.writeUInt32LE(inner + 8, 8);
        bytes.writeUInt32LE(inner, 16);
        return bytes;
      });
      return Buffer.concat(levels);
    };
    expect(await read({ raw: { '00091001': nestedIn('09000110') } })).toEqual(hounsfield);
    await expect(read({ raw: { '52009229': nestedIn('00522992') } })).rejects.toThrow(
      /a\.dcm: has sequences nested more than 64 deep/,
    );
  });
});

test('an element that is longer than its sequence is refused', async () => {
  const raw = { '52009229': hex(`00522992 5351 0000 12000000 ${ITEM} 0a000000 28001000 5553 0400 6300`) };
  await expect(read({ raw })).rejects.toThrow(
    /element \(0028,0010\) is longer than the sequence that holds it/,
  );
});
