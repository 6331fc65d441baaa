// Compressed frames made for tests: by the encoders beside the decoders (JPEG-LS, JPEG 2000), by sharp (JPEG), and by a
// small encoder of lossless JPEG, whose images GDCM 3.2.6 decodes to the same samples.
import { createRequire } from 'node:module';
import sharp from 'sharp';

export interface Picture {
  rows: number;
  columns: number;
  /** [rows, columns]. */
  samples: readonly number[];
  /** Bits per sample. */
  bits: number;
  signed?: boolean;
}

interface Encoder {
  getDecodedBuffer(info: object): Uint8Array;
  encode(): void;
  getEncodedBuffer(): Uint8Array;
  delete(): void;
  setQuality(lossless: boolean, layers: number): void;
  setCompressionRatio(layer: number, ratio: number): void;
  setNearLossless(near: number): void;
}

const require = createRequire(import.meta.url);
const beside = createRequire(require.resolve('@cornerstonejs/dicom-codec'));
const modules = new Map<string, Promise<Record<string, new () => Encoder>>>();

async function encoded(
  picture: Picture,
  { path, name, configure }: { path: string; name: string; configure?: (encoder: Encoder) => void },
): Promise<Uint8Array> {
  const load = beside(path) as () => Promise<Record<string, new () => Encoder>>;
  if (!modules.has(path)) modules.set(path, load());
  const encoder = new (await modules.get(path)!)[name]!();
  const { rows, columns, samples, bits, signed = false } = picture;
  const info = {
    width: columns,
    height: rows,
    bitsPerSample: bits,
    componentCount: 1,
    isSigned: signed,
    isUsingColorTransform: false,
  };
  const values = bits <= 8 ? Uint8Array.from(samples) : new Uint8Array(Uint16Array.from(samples).buffer);
  encoder.getDecodedBuffer(info).set(values);
  configure?.(encoder);
  encoder.encode();
  const bytes = new Uint8Array(encoder.getEncodedBuffer());
  encoder.delete();
  return bytes;
}

export const jpeg2000 = (picture: Picture) =>
  encoded(picture, { path: '@cornerstonejs/codec-openjpeg/wasmjs', name: 'J2KEncoder' });

/** Compressed with loss to about 1 / `ratio` of the size. */
export const lossyJpeg2000 = (picture: Picture, ratio: number) =>
  encoded(picture, {
    path: '@cornerstonejs/codec-openjpeg/wasmjs',
    name: 'J2KEncoder',
    configure: (encoder) => {
      encoder.setQuality(false, 1); // of one layer
      encoder.setCompressionRatio(0, ratio);
    },
  });

export const htJpeg2000 = (picture: Picture) =>
  encoded(picture, { path: '@cornerstonejs/codec-openjph', name: 'HTJ2KEncoder' });

/** Each sample may be off by `near`. */
export const jpegLs = (picture: Picture, near = 0) =>
  encoded(picture, {
    path: '@cornerstonejs/codec-charls/wasmjs',
    name: 'JpegLSEncoder',
    configure: (encoder) => encoder.setNearLossless(near),
  });

export async function jpegBaseline({ rows, columns, samples }: Picture): Promise<Uint8Array> {
  const raw = { width: columns, height: rows, channels: 1 as const };
  return new Uint8Array(
    await sharp(Uint8Array.from(samples), { raw }).toColourspace('b-w').jpeg().toBuffer(),
  );
}

export interface LosslessOptions {
  /** 1 to 7 (ITU-T T.81, table H.1). */
  predictor?: number;
  pointTransform?: number;
  /** Rows of a restart interval; 0: none. */
  restartRows?: number;
}

/** Lossless JPEG (SOF3) with a Huffman table in which every category has five bits. */
export function jpegLossless(picture: Picture, options: LosslessOptions = {}): Uint8Array {
  const { rows, columns, bits } = picture;
  const { predictor = 1, pointTransform = 0, restartRows = 0 } = options;
  const u16 = (value: number) => [value >> 8, value & 255];
  const segment = (marker: number, ...content: number[]) => [
    0xff,
    marker,
    ...u16(content.length + 2),
    ...content,
  ];
  const lengths = Array.from({ length: 16 }, (_, i) => (i === 4 ? 17 : 0));
  const categories = Array.from({ length: 17 }, (_, i) => i);
  return Uint8Array.from([
    ...[0xff, 0xd8],
    ...segment(0xc4, 0, ...lengths, ...categories),
    ...(restartRows > 0 ? segment(0xdd, ...u16(restartRows * columns)) : []),
    ...segment(0xc3, bits, ...u16(rows), ...u16(columns), 1, 1, 0x11, 0),
    ...segment(0xda, 1, 1, 0, predictor, 0, pointTransform),
    ...entropyCoded(picture, { predictor, pointTransform, restartRows }),
    ...[0xff, 0xd9],
  ]);
}

function entropyCoded(picture: Picture, options: Required<LosslessOptions>): number[] {
  const { rows, columns, bits, samples } = picture;
  const { predictor, pointTransform, restartRows } = options;
  const at = (y: number, x: number) => samples[y * columns + x]! >> pointTransform;
  const bytes: number[] = [];
  let pending = '';
  for (let y = 0; y < rows; y++) {
    const first = restartRows > 0 ? y % restartRows === 0 : y === 0;
    if (first && y > 0) {
      bytes.push(...stuffed(pending), 0xff, 0xd0 + ((y / restartRows - 1) % 8));
      pending = '';
    }
    for (let x = 0; x < columns; x++) {
      const predicted = first
        ? x === 0
          ? 2 ** (bits - pointTransform - 1)
          : at(y, x - 1)
        : x === 0
          ? at(y - 1, x)
          : predictions[predictor]!(at(y, x - 1), at(y - 1, x), at(y - 1, x - 1));
      pending += codeOf(((at(y, x) - predicted) << 16) >> 16);
    }
  }
  bytes.push(...stuffed(pending));
  return bytes;
}

const predictions: Readonly<Record<number, (a: number, b: number, c: number) => number>> = {
  1: (a) => a,
  2: (_, b) => b,
  3: (_, __, c) => c,
  4: (a, b, c) => a + b - c,
  5: (a, b, c) => a + ((b - c) >> 1),
  6: (a, b, c) => b + ((a - c) >> 1),
  7: (a, b) => (a + b) >> 1,
};

/** The bits of a difference: its category in five bits, then its value (T.81, table H.2). */
function codeOf(difference: number): string {
  const category =
    difference === -32768 ? 16 : Math.abs(difference).toString(2).length * Number(difference !== 0);
  const code = category.toString(2).padStart(5, '0');
  if (category === 0 || category === 16) return code;
  const value = difference > 0 ? difference : difference + 2 ** category - 1;
  return code + value.toString(2).padStart(category, '0');
}

/** The bits as bytes, filled up with ones, with a zero byte behind every FF. */
function stuffed(bits: string): number[] {
  const filled = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1');
  const bytes = filled.match(/.{8}/g) ?? [];
  return bytes.flatMap((byte) => (byte === '11111111' ? [255, 0] : [Number.parseInt(byte, 2)]));
}
