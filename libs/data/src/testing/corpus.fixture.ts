// A corpus of small inputs for tests, with headers and pixels of its own: every format and encoding that the readers know,
// and every kind of folder that is unusual but real, each with what is right.
import { deflateSync, gzipSync } from 'node:zlib';
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
} from '../readers/dicom/dicom.fixture.ts';
import type { FileOptions, SliceElements } from '../readers/dicom/dicom.fixture.ts';
import {
  htJpeg2000,
  jpeg2000,
  jpegBaseline,
  jpegLossless,
  jpegLs,
  type LosslessOptions,
  type Picture,
} from '../readers/dicom/encoders.fixture.ts';
import { niftiFile, type NiftiOptions } from '../readers/nifti/nifti.fixture.ts';

export type Files = Record<string, Uint8Array>;

export const [depth, rows, columns] = [5, 32, 40];

/** Hounsfield units of slice z, head first: −1000 … 470, with air, lung and tissue in every slice. */
export const hounsfield = (z: number) =>
  Array.from({ length: rows * columns }, (_, i) => {
    const [y, x] = [Math.floor(i / columns), i % columns];
    const inside = x > 4 && x < 35 && y > 4 && y < 27;
    const lung = inside && x % 15 > 6 && y > 8 && y < 23;
    return (
      (lung ? -850 : inside ? 0 : -1000) + ((z * 37 + y * 53 + x * 29) % 120) - (inside && !lung ? 60 : 0)
    );
  });
const order = Array.from({ length: depth }, (_, z) => z);
export const volume = order.map(hounsfield);
const stored = (z: number) => hounsfield(z).map((value) => value + 1024);

/** The grey value of Hounsfield units, from the project's window of −1150 … 350 HU. */
export const grey = (value: number) =>
  Math.round(((Math.max(-1150, Math.min(350, value)) + 1150) / 1500) * 255);

/** The elements of slice z; stored values are Hounsfield units + 1024 in 12 bits. */
export const elementsOf = (z: number, changes: SliceElements = {}): SliceElements =>
  sliceElements(100 - 2 * z, {
    StudyInstanceUID: '1.2',
    FrameOfReferenceUID: '1.9',
    InstanceNumber: `${z + 1}`,
    Rows: rows,
    Columns: columns,
    BitsStored: 12,
    HighBit: 11,
    PixelRepresentation: 0,
    RescaleIntercept: '-1024',
    PixelData: words(...stored(z)),
    ...changes,
  });

export const dicomFile = (z: number, changes: SliceElements = {}, options: FileOptions = {}) =>
  dicomBytes(elementsOf(z, changes), options);

const picture = (z: number): Picture => ({ rows, columns, bits: 12, samples: stored(z) });

const syntaxes: Readonly<
  Record<string, [transferSyntax: string, encode: (z: number) => Uint8Array | Promise<Uint8Array>]>
> = {
  RLE: ['1.2.840.10008.1.2.5', (z) => rleOf(stored(z))],
  'JPEG Lossless': ['1.2.840.10008.1.2.4.70', (z) => jpegLossless(picture(z))],
  'JPEG-LS': ['1.2.840.10008.1.2.4.80', (z) => jpegLs(picture(z))],
  'JPEG 2000': ['1.2.840.10008.1.2.4.90', (z) => jpeg2000(picture(z))],
  HTJ2K: ['1.2.840.10008.1.2.4.201', (z) => htJpeg2000(picture(z))],
};

/** A series of which every file is made by `make`. */
export const series = async (make: (z: number) => Uint8Array | Promise<Uint8Array>): Promise<Files> =>
  Object.fromEntries(await Promise.all(order.map(async (z) => [`IM${z}`, await make(z)] as const)));

const compressed = ([transferSyntax, encode]: (typeof syntaxes)[string]) =>
  series(async (z) => dicomFile(z, { PixelData: [await encode(z)] }, { transferSyntax }));

const big = (z: number) => words(...stored(z).map((value) => ((value & 255) << 8) | (value >> 8)));

/** Grey values in JPEG Baseline, of 8 bits. */
const baseline = () =>
  series(async (z) => {
    const samples = hounsfield(z).map(grey);
    const eight = {
      BitsAllocated: 8,
      BitsStored: 8,
      HighBit: 7,
      RescaleSlope: '5.8823529',
      RescaleIntercept: '-1150',
    };
    const frame = await jpegBaseline({ rows, columns, bits: 8, samples });
    return dicomFile(z, { ...eight, PixelData: [frame] }, { transferSyntax: '1.2.840.10008.1.2.4.50' });
  });

const frames = (transferSyntax: string, PixelData: Uint8Array | Uint8Array[]) => ({
  'frames.dcm': dicomFile(0, { NumberOfFrames: `${depth}`, PixelData }, { transferSyntax }),
});

/** Voxels whose axes run to the left, to the back and to the feet, as those of scans. */
const voxels = volume.flat();
export const nifti = (options: Partial<NiftiOptions> = {}) =>
  new Uint8Array(niftiFile({ dims: [columns, rows, depth], values: voxels, ...options }));

const shorts = Buffer.from(Int16Array.from(voxels).buffer);
const text = (lines: readonly string[]) => Buffer.from(`${lines.join('\n')}\n`);
const metaHeader = (data: string, isCompressed = false) =>
  text([
    'ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False',
    `CompressedData = ${isCompressed ? 'True' : 'False'}`,
    'TransformMatrix = 1 0 0 0 1 0 0 0 -1\nElementSpacing = 1 1 2',
    `DimSize = ${columns} ${rows} ${depth}\nElementType = MET_SHORT\nElementDataFile = ${data}`,
  ]);
const nrrdHeader = (encoding: string, ...more: string[]) =>
  text([
    'NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior',
    `sizes: ${columns} ${rows} ${depth}\nspace directions: (1,0,0) (0,1,0) (0,0,-2)`,
    `endian: little\nencoding: ${encoding}`,
    ...more,
    '',
  ]);

const raw = { width: columns, height: rows, channels: 1 as const };
export const png = async (values: readonly number[]) =>
  new Uint8Array(await sharp(Uint8Array.from(values), { raw }).toColourspace('b-w').png().toBuffer());
const jpeg = async (values: readonly number[]) =>
  new Uint8Array(await sharp(Uint8Array.from(values), { raw }).toColourspace('b-w').jpeg().toBuffer());
export const png16 = async (values: readonly number[]) =>
  new Uint8Array(await sharp(Uint16Array.from(values), { raw }).toColourspace('grey16').png().toBuffer());

/** Images with these names, one for each slice. */
export const images = async (
  nameOf: (z: number) => string,
  encode: (values: number[], z: number) => Promise<Uint8Array> = (values) => png(values.map(grey)),
): Promise<Files> =>
  Object.fromEntries(
    await Promise.all(order.map(async (z) => [nameOf(z), await encode(hounsfield(z), z)] as const)),
  );

export interface SoundScan {
  /** The files of one scan, by name; all in one folder. */
  files: Files;
  format: 'dicom' | 'nifti' | 'metaimage' | 'nrrd' | 'images';
  /** Whether the compression changed the values. */
  lossy?: true;
  /** Whether a checksum covers all of each file, so that no damage to it goes unseen. */
  hasChecksum?: true;
}

/** A sound scan in every format, transfer syntax and encoding, by its name. All hold `volume`. */
export async function soundScans(): Promise<Record<string, SoundScan>> {
  const dicom = (files: Files): SoundScan => ({ files, format: 'dicom' });
  const plain = (transferSyntax: string) => series((z) => dicomFile(z, {}, { transferSyntax }));
  const allFrames = await Promise.all(order.map((z) => jpeg2000(picture(z))));
  const encoded = await Promise.all(
    Object.entries(syntaxes).map(
      async ([name, syntax]) => [`DICOM ${name}`, dicom(await compressed(syntax))] as const,
    ),
  );
  return {
    'DICOM explicit': dicom(await plain(EXPLICIT)),
    'DICOM implicit': dicom(await plain(IMPLICIT)),
    'DICOM big endian': dicom(await plain(BIG_ENDIAN)),
    'DICOM deflated': dicom(await plain(DEFLATED)),
    'DICOM GE private': dicom(
      await series((z) =>
        dicomFile(z, { PixelData: big(z) }, { transferSyntax: '1.2.840.113619.5.2', encodedAs: IMPLICIT }),
      ),
    ),
    ...Object.fromEntries(encoded),
    'DICOM JPEG Baseline': { ...dicom(await baseline()), lossy: true },
    'DICOM frames': dicom(frames(EXPLICIT, words(...order.flatMap(stored)))),
    'DICOM frames in JPEG 2000': dicom(frames('1.2.840.10008.1.2.4.90', allFrames)),
    NIfTI: { files: { 'a.nii': nifti() }, format: 'nifti' },
    'NIfTI gzipped': {
      files: { 'a.nii.gz': gzipSync(nifti()) },
      format: 'nifti',
      hasChecksum: true,
    },
    'NIfTI-2 big endian': {
      files: { 'a.nii': nifti({ version: 2, littleEndian: false, type: 'float32' }) },
      format: 'nifti',
    },
    MetaImage: { files: { 'a.mha': Buffer.concat([metaHeader('LOCAL'), shorts]) }, format: 'metaimage' },
    'MetaImage compressed': {
      files: { 'a.mha': Buffer.concat([metaHeader('LOCAL', true), deflateSync(shorts)]) },
      format: 'metaimage',
    },
    'MetaImage of two files': {
      files: { 'a.mhd': metaHeader('a.raw'), 'a.raw': shorts },
      format: 'metaimage',
    },
    NRRD: { files: { 'a.nrrd': Buffer.concat([nrrdHeader('raw'), shorts]) }, format: 'nrrd' },
    'NRRD gzipped': {
      files: { 'a.nrrd': Buffer.concat([nrrdHeader('gzip'), gzipSync(shorts)]) },
      format: 'nrrd',
    },
    'NRRD of two files': {
      files: { 'a.nhdr': nrrdHeader('raw', 'data file: a.raw'), 'a.raw': shorts },
      format: 'nrrd',
    },
    PNG: { files: await images((z) => `${z}.png`), format: 'images', hasChecksum: true },
    'PNG of 16 bits': {
      files: await images(
        (z) => `${z}.png`,
        (values) => png16(values.map((value) => value + 32768)),
      ),
      format: 'images',
    },
    JPEG: {
      files: await images(
        (z) => `${z}.jpg`,
        (values) => jpeg(values.map(grey)),
      ),
      format: 'images',
      lossy: true,
    },
  };
}

/** An unusual input, and what is right. */
export interface CorpusCase {
  /** By path below the root. */
  files: Files;
  /** Of the scan that is read: the positions of its slices in `volume`; null: no scan is read. */
  slices: number[] | null;
  /** Number of scans; default: 1. */
  scans?: number;
  /** What the findings, or the error, say. */
  says?: RegExp;
}

const all = order;
const without = (...left: number[]) => order.filter((z) => !left.includes(z));
const merged = (...parts: Files[]): Files => Object.assign({}, ...parts) as Files;
const named = (files: Files, nameOf: (name: string) => string): Files =>
  Object.fromEntries(Object.entries(files).map(([name, bytes]) => [nameOf(name), bytes]));
const changed = (changes: (z: number) => SliceElements, options: FileOptions = {}) =>
  series((z) => dicomFile(z, changes(z), options));
const hex = (digits: string) => new Uint8Array(Buffer.from(digits.replaceAll(' ', ''), 'hex'));
const inserted = (tag: string, digits: string, transferSyntax = EXPLICIT) =>
  series((z) => dicomFile(z, {}, { transferSyntax, raw: { [tag]: hex(digits) } }));

/** The unusual inputs, by what is unusual. */
export async function corpusCases(): Promise<Record<string, CorpusCase>> {
  return {
    ...(await cutFiles()),
    ...(await whichSlices()),
    ...(await whichFiles()),
    ...(await whichValues()),
    ...(await unusualEncodings()),
    ...noScans(),
  };
}

async function cutFiles() {
  const scans = Object.entries(await soundScans()).filter(
    ([name]) => name.startsWith('DICOM ') && !name.includes('frames'),
  );
  const cases: Record<string, CorpusCase> = {};
  for (const [name, { files }] of scans.filter(([, { lossy }]) => lossy === undefined))
    for (const percent of [30, 60, 80, 95]) {
      const whole = files['IM2']!;
      const cut = { ...files, IM2: whole.subarray(0, Math.floor((whole.length * percent) / 100)) };
      cases[`${name} cut at ${percent} %`] = { files: cut, slices: without(2), says: /left out: IM2 / };
    }
  return cases;
}

async function whichSlices(): Promise<Record<string, CorpusCase>> {
  const plain = await changed(() => ({}));
  const other = (changes: SliceElements) =>
    series((z) => dicomFile(z, { PixelData: words(...stored(z).map((value) => value + 200)), ...changes }));
  const second = async (changes: SliceElements) => named(await other(changes), (name) => `second ${name}`);
  const lost = { ImagePositionPatient: undefined };
  return {
    'two acquisitions': {
      files: merged(
        await changed(() => ({ AcquisitionNumber: '1' })),
        await second({ AcquisitionNumber: '2' }),
      ),
      slices: all,
      says: /acquisitions of the series cover the same positions/,
    },
    'two tube voltages': {
      files: merged(await changed(() => ({ KVP: '80' })), await second({ KVP: '140' })),
      slices: all,
      says: /differ in KVP \(0018,0060\)/,
    },
    'a UID for every slice': {
      files: await changed((z) => ({ SeriesInstanceUID: `1.2.3.${z}` })),
      slices: all,
      says: /SeriesInstanceUID \(0020,000E\) of its own/,
    },
    'all UIDs new for every slice': {
      files: await changed((z) => ({
        SeriesInstanceUID: `1.2.3.${z}`,
        StudyInstanceUID: `1.2.4.${z}`,
        FrameOfReferenceUID: `1.2.5.${z}`,
      })),
      slices: all,
      says: /SeriesInstanceUID \(0020,000E\) of its own/,
    },
    'one position for all': {
      files: await changed((z) => ({ ImagePositionPatient: '0\\0\\0', SliceLocation: `${-2 * z}` })),
      slices: all,
      says: /ordered by SliceLocation/,
    },
    'frames without positions': {
      files: frames(EXPLICIT, words(...order.flatMap(stored))),
      slices: all,
      says: /ordered by their frames’ numbers/,
    },
    'no positions': {
      files: await changed((z) => ({ ...lost, SliceLocation: `${-2 * z}`, InstanceNumber: `${9 - z}` })),
      slices: all,
      says: /ordered by SliceLocation/,
    },
    'one image without a position': {
      files: await changed((z) => (z === 3 ? lost : {})),
      slices: without(3),
      says: /1 slice without ImagePositionPatient/,
    },
    'a saved screen and a localizer': {
      files: merged(plain, {
        screen: dicomFile(0, { ...lost, ImageType: 'DERIVED\\SECONDARY\\SCREEN SAVE' }),
        scout: dicomFile(1, { ImageType: 'ORIGINAL\\PRIMARY\\LOCALIZER' }),
      }),
      slices: all,
      says: /scout \(a localizer\), screen \(a saved screen\)|screen .*scout/,
    },
    'a series in two folders': {
      files: named(plain, (name) => `${name < 'IM3' ? 'A' : 'B'}/${name}`),
      slices: [0, 1, 2],
      scans: 2,
      says: /are of one DICOM series/,
    },
    'one slice of five files': {
      files: await changed(() => ({ ImagePositionPatient: '0\\0\\7', SliceLocation: '7' })),
      slices: null,
      says: /only 1 of 5 DICOM files/,
    },
  };
}

async function whichFiles(): Promise<Record<string, CorpusCase>> {
  const plain = await changed(() => ({}));
  const labels = volume.map((values) => values.map((value) => (value < -700 ? 1 : 0)));
  const mask = nifti({ values: labels.flat(), type: 'uint8' });
  const masks = (nameOf: (z: number) => string) =>
    images(nameOf, (_, z) => png(labels[z]!.map((value) => 255 * value)));
  const slices = await images((z) => `${z}.png`);
  return {
    'a preview and masks among DICOM files': {
      files: merged(plain, {
        'preview_1.jpg': await jpeg(hounsfield(0).map(grey)),
        'lung_mask.nii': mask,
        'lesion.nii': mask,
      }),
      slices: all,
      says: /3 files not DICOM/,
    },
    'a preview of every DICOM file': {
      files: merged(plain, await images((z) => `IM${z}.png`), {
        'preview_9.png': await png(hounsfield(0).map(grey)),
      }),
      slices: all,
      says: /6 files not DICOM/,
    },
    'masks beside images': {
      files: merged(slices, await masks((z) => `${z}_lung_mask.png`)),
      slices: all,
      says: /5 masks of other slices ignored/,
    },
    'masks named before the number': {
      files: merged(await images((z) => `image_${z}.png`), await masks((z) => `mask_${z}.png`)),
      slices: all,
      says: /5 masks of other slices ignored/,
    },
    'a folder of masks': {
      files: merged(
        named(slices, (name) => `images/${name}`),
        named(await masks((z) => `${z}.png`), (name) => `masks/${name}`),
      ),
      slices: all,
      says: /1 mask ignored, by the names and by the values, which are a few labels: masks/,
    },
    'a volume and folders of masks of it': {
      files: { 'p/ct.nii': nifti(), 'p/segmentations/aorta.nii': mask, 'p/labels/ct.nii': mask },
      slices: all,
      says: /2 masks ignored/,
    },
    decimals: {
      files: await images((z) => `z_${(92.5 + 2.5 * z).toFixed(1)}.png`),
      slices: all,
    },
    signs: {
      files: await images((z) => `z_${-4 + 2 * z}.png`),
      slices: all,
      says: /^no slice -3, -1, 1, 3 between -4 and 4\n$/,
    },
    copies: {
      files: merged(slices, { '1 (1).png': slices['1.png']!, '3 - Copy (2).png': slices['3.png']! }),
      slices: [0, 1, 1, 2, 3, 3, 4],
      says: /more than one slice has the number/,
    },
  };
}

async function whichValues(): Promise<Record<string, CorpusCase>> {
  const scaled = (change: (value: number) => number, options: Partial<NiftiOptions> = {}): Files => ({
    'a.nii': nifti({ values: voxels.map(change), ...options }),
  });
  const wide = (change: (value: number) => number) =>
    images(
      (z) => `${z}.png`,
      (values) => png16(values.map(change)),
    );
  const share = (value: number) => (Math.max(-1150, Math.min(350, value)) + 1150) / 1500;
  return {
    'Hounsfield units + 1024': {
      files: scaled((value) => value + 1024),
      slices: all,
      says: /Hounsfield units \+ 1024/,
    },
    'Hounsfield units + 32768': {
      files: scaled((value) => value + 32768, { type: 'uint16' }),
      slices: all,
      says: /Hounsfield units \+ 32768/,
    },
    'values 0 … 1': {
      files: scaled(share, { type: 'float64' }),
      slices: all,
      says: /read as grey values, 0 as black and 1 as white/,
    },
    'values 0 … 255': {
      files: scaled(grey, { type: 'uint8' }),
      slices: all,
      says: /0 as black and 255 as white/,
    },
    'values 0 … 4095': {
      files: scaled((value) => Math.round(share(value) * 4095)),
      slices: null,
      says: /--values/,
    },
    'signed values as unsigned ones': {
      files: scaled((value) => value & 0xffff, { type: 'uint16' }),
      slices: null,
      says: /signed numbers of 16 bits/,
    },
    'PNG of Hounsfield units + 1024': {
      files: await wide((value) => value + 1024),
      slices: all,
      says: /Hounsfield units \+ 1024/,
    },
    'PNG of Hounsfield units + 32768': {
      files: await wide((value) => value + 32768),
      slices: all,
      says: /Hounsfield units \+ 32768/,
    },
    'PNG of 12 bits': {
      files: await wide((value) => Math.round(share(value) * 4095)),
      slices: null,
      says: /16-bit PNG.*--values/,
    },
  };
}

async function unusualEncodings(): Promise<Record<string, CorpusCase>> {
  const lossless = (options: LosslessOptions) =>
    series((z) =>
      dicomFile(
        z,
        { PixelData: [jpegLossless(picture(z), options)] },
        { transferSyntax: '1.2.840.10008.1.2.4.70' },
      ),
    );
  const wrong = (transferSyntax: string, encodedAs: string) =>
    changed(() => ({}), { transferSyntax, encodedAs });
  const at = (bytes: Uint8Array, where: number, ...values: number[]) => {
    const copy = bytes.slice();
    copy.set(values, where);
    return copy;
  };
  const split = await Promise.all(order.map((z) => jpeg2000(picture(z))));
  const fragments = split.flatMap((frame) => [frame.subarray(0, 40), frame.subarray(40)]);
  const sequence = 'feff00e0 ffffffff 28001000 02000000 0700 feff0de0 00000000 feffdde0 00000000';
  return {
    'JPEG Lossless with restart intervals': {
      files: await lossless({ restartRows: 2, predictor: 4 }),
      slices: all,
    },
    'a sequence of unknown representation and undefined length': {
      files: await inserted('00091010', `09001010 554e0000 ffffffff ${sequence}`),
      slices: all,
    },
    'a private element of undefined length': {
      files: await inserted(
        '00091010',
        '09001010 4f420000 ffffffff feff00e0 02000000 0102 feffdde0 00000000',
      ),
      slices: all,
    },
    'an element of VR AT, implicit': {
      files: await inserted('00280009', '28000900 04000000 18006310', IMPLICIT),
      slices: all,
    },
    'says explicit, is implicit': { files: await wrong(EXPLICIT, IMPLICIT), slices: all },
    'says implicit, is explicit': { files: await wrong(IMPLICIT, EXPLICIT), slices: all },
    'says big endian, is little': { files: await wrong(BIG_ENDIAN, EXPLICIT), slices: all },
    'says little endian, is big': { files: await wrong(EXPLICIT, BIG_ENDIAN), slices: all },
    'says JPEG 2000, is not compressed': {
      files: await wrong('1.2.840.10008.1.2.4.90', EXPLICIT),
      slices: all,
    },
    'NumberOfFrames 0': { files: await changed(() => ({ NumberOfFrames: '0' })), slices: all },
    'fragments without a table': {
      files: frames('1.2.840.10008.1.2.4.90', fragments),
      slices: all,
      says: /frames’ numbers/,
    },
    'NIfTI with a slope that is not a number': {
      files: { 'a.nii': at(at(nifti(), 112, 0, 0, 0xc0, 0x7f), 116, 0, 0, 0xc0, 0x7f) },
      slices: all,
      says: /scl_slope: NaN/,
    },
    'NIfTI of 64-bit integers': { files: { 'a.nii.gz': gzipSync(nifti({ type: 'int64' })) }, slices: all },
    'NIfTI with bitpix 0': {
      files: { 'a.nii': at(nifti(), 72, 0, 0) },
      slices: all,
      says: /bitpix: 0 is ignored/,
    },
    'NIfTI with bytes behind the voxels': {
      files: { 'a.nii': Buffer.concat([nifti(), Buffer.alloc(99)]) },
      slices: all,
      says: /more bytes after the last/,
    },
  };
}

function noScans(): Record<string, CorpusCase> {
  const holding = (name: string, content: string, says: RegExp): CorpusCase => ({
    files: { [name]: Buffer.from(content) },
    slices: null,
    says,
  });
  return {
    'TIFF files': holding('1.tif', 'II*\0', /1 \.tif file.*convert these images to PNG/),
    'an archive': holding('a.zip', 'PK\x03\x04', /1 \.zip file.*unpack/),
    'a Git LFS pointer': holding(
      'a.nii.gz',
      'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n',
      /Git LFS pointer.*git lfs pull/,
    ),
    'a git-annex pointer': holding(
      'a.nii.gz',
      '/annex/objects/MD5E-s1--0.nii.gz\n',
      /git-annex pointer.*git annex get/,
    ),
    'a web page': holding('1.dcm', '<!DOCTYPE html><html></html>', /web page.*download the file again/),
    'an answer in JSON': holding('a.nii.gz', '{"error": "not found"}', /JSON text/),
    'a table of contents': holding(
      'DICOMDIR',
      `${'\0'.repeat(128)}DICM`,
      /table of contents.*copy the folders/,
    ),
    'images without numbers': holding('a.png', 'x', /without a number in its name/),
    nothing: { files: {}, slices: null, says: /it holds no file/ },
  };
}
