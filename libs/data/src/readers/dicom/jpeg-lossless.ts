// JPEG Lossless (ITU-T T.81, process 14: Huffman coding, predictors 1 to 7), with point transform and restart intervals.
// jpeg-lossless-decoder-js, which dicom-codec uses, ignores the point transform and misreads restart intervals.
import { jpegSegments, type JpegSegment } from './compressed-frame.ts';

interface Header {
  rows: number;
  columns: number;
  /** Bits per sample. */
  precision: number;
  predictor: number;
  /** Bits that every sample was shifted right by before coding. */
  pointTransform: number;
  /** Rows after which the prediction starts anew; 0: never. */
  restartRows: number;
  table: HuffmanTable;
}

/** [65536], by the next 16 bits: the length of the code and the category it stands for; length 0: no code. */
interface HuffmanTable {
  lengths: Uint8Array;
  categories: Uint8Array;
}

/**
 * The samples of an image of one component, [rows, columns], without sign extension. Throws an Error with the reason if
 * the image is cut short, damaged, or of another kind.
 */
export function decodeJpegLossless(jpeg: Uint8Array): Uint16Array {
  const { segments } = jpegSegments(jpeg);
  const header = headerOf(jpeg, segments);
  const { rows, columns, precision, predictor, pointTransform, restartRows, table } = header;
  const scans = segments.filter(({ marker }) => marker === 0xda);
  if (scans.length !== 1) throw new Error(`holds a JPEG of ${scans.length} scans, which is not supported`);
  const bits = new BitReader(jpeg, scans[0]!.end);
  const samples = new Uint16Array(rows * columns);
  const predict = PREDICTORS[predictor]!;
  const middle = 1 << (precision - pointTransform - 1);
  for (let y = 0; y < rows; y++) {
    const first = restartRows === 0 ? y === 0 : y % restartRows === 0;
    if (first && y > 0) bits.restart();
    const row = y * columns;
    for (let x = 0; x < columns; x++) {
      const at = row + x;
      const left = x > 0 ? samples[at - 1]! : 0;
      const above = first ? 0 : samples[at - columns]!;
      const predicted = first
        ? x === 0
          ? middle
          : left
        : x === 0
          ? above
          : predict(left, above, samples[at - columns - 1]!);
      samples[at] = predicted + bits.difference(table); // modulo 2¹⁶, as T.81 H.1.2.1 says
    }
  }
  if (pointTransform > 0) for (let i = 0; i < samples.length; i++) samples[i] = samples[i]! << pointTransform;
  return samples;
}

/** By the number of the predictor (T.81, table H.1), from the samples to the left (a), above (b) and above left (c). */
const PREDICTORS: readonly ((a: number, b: number, c: number) => number)[] = [
  () => 0, // not used
  (a) => a,
  (_, b) => b,
  (_, __, c) => c,
  (a, b, c) => a + b - c,
  (a, b, c) => a + ((b - c) >> 1),
  (a, b, c) => b + ((a - c) >> 1),
  (a, b) => (a + b) >> 1,
];

function headerOf(jpeg: Uint8Array, segments: readonly JpegSegment[]): Header {
  const tables = new Map<number, HuffmanTable>();
  let frame: { rows: number; columns: number; precision: number } | undefined;
  let restartInterval = 0;
  for (const { marker, at, end } of segments) {
    const u16 = (offset: number) => jpeg[at + offset]! * 256 + jpeg[at + offset + 1]!;
    if (marker === 0xc4) readTables(jpeg.subarray(at, end), tables);
    else if (marker === 0xdd && end - at >= 2) restartInterval = u16(0);
    else if (marker === 0xc3 && end - at >= 9) {
      if (jpeg[at + 5] !== 1) throw new Error('holds a JPEG of several components, which is not supported');
      frame = { precision: jpeg[at]!, rows: u16(1), columns: u16(3) };
    } else if (marker === 0xda && end - at >= 6) {
      const table = tables.get(jpeg[at + 2]! >> 4);
      const predictor = jpeg[at + 3]!;
      const pointTransform = jpeg[at + 5]! & 15;
      if (frame === undefined) break;
      if (table === undefined) throw new Error('holds a JPEG without its Huffman table');
      if (frame.precision < 2 || frame.precision > 16 || pointTransform >= frame.precision)
        throw new Error(
          `holds a JPEG of ${frame.precision} bits with point transform ${pointTransform}, which is not supported`,
        );
      if (predictor < 1 || predictor > 7)
        throw new Error(`holds a JPEG with predictor ${predictor}, which is not supported`);
      if (restartInterval % frame.columns !== 0)
        throw new Error(
          `holds a JPEG with restart interval ${restartInterval}, which is not a number of whole rows of ${frame.columns}`,
        );
      return { ...frame, predictor, pointTransform, restartRows: restartInterval / frame.columns, table };
    }
  }
  throw new Error('does not hold a lossless JPEG (SOF3)');
}

/** The tables of one DHT segment (T.81 B.2.4.2), by their destination. */
function readTables(segment: Uint8Array, tables: Map<number, HuffmanTable>) {
  for (let at = 0; at + 17 <= segment.length;) {
    const lengths = new Uint8Array(1 << 16);
    const categories = new Uint8Array(1 << 16);
    const counts = segment.subarray(at + 1, at + 17);
    let value = at + 17;
    let code = 0;
    for (const [i, count] of counts.entries()) {
      const span = 1 << (15 - i);
      for (let k = 0; k < count; k++, code += span, value++) {
        const category = segment[value];
        if (category === undefined || category > 16 || code + span > 1 << 16)
          throw new Error('holds a JPEG with a damaged Huffman table');
        lengths.fill(i + 1, code, code + span);
        categories.fill(category, code, code + span);
      }
    }
    tables.set(segment[at]!, { lengths, categories });
    at = value;
  }
}

/** The bits of an entropy-coded segment: FF 00 stands for FF, any other FF begins a marker. */
class BitReader {
  readonly #bytes: Uint8Array;
  #at: number;
  #bits = 0;
  #count = 0;
  /** Bits read beyond the end of the segment, as ones. */
  #missing = 0;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  /** The difference that the next code stands for (T.81 H.1.2.2). */
  difference({ lengths, categories }: HuffmanTable): number {
    this.#require(16);
    const code = (this.#bits >>> (this.#count - 16)) & 0xffff;
    const length = lengths[code]!;
    if (length === 0) throw new Error('holds a damaged JPEG: a code is not in its Huffman table');
    this.#drop(length);
    const category = categories[code]!;
    if (category === 0) return 0;
    if (category === 16) return 32768;
    this.#require(category);
    const value = (this.#bits >>> (this.#count - category)) & ((1 << category) - 1);
    this.#drop(category);
    return value >> (category - 1) === 0 ? value - (1 << category) + 1 : value;
  }

  /** Moves on behind the restart marker, which must be next. */
  restart() {
    this.#bits = this.#count = this.#missing = 0;
    const marker = this.#bytes[this.#at + 1] ?? 0;
    if (this.#bytes[this.#at] !== 0xff || marker < 0xd0 || marker > 0xd7)
      throw new Error('holds a damaged JPEG: a restart marker is missing');
    this.#at += 2;
  }

  #require(count: number) {
    while (this.#count < count) {
      const byte = this.#bytes[this.#at];
      const ends = byte === undefined || (byte === 0xff && this.#bytes[this.#at + 1] !== 0);
      if (ends) this.#missing += 8;
      else this.#at += byte === 0xff ? 2 : 1;
      this.#bits = (this.#bits << 8) | (ends ? 0xff : byte);
      this.#count += 8;
    }
  }

  #drop(count: number) {
    this.#count -= count;
    if (this.#count < this.#missing)
      throw new Error('holds a JPEG that is cut short: its samples end too soon');
  }
}
