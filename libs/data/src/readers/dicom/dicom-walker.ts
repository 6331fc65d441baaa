// The elements of a DICOM data set (PS3.5, 7): a walk from the first to the top-level Pixel Data, which keeps what the
// reader uses and skips the rest. Nothing is searched by its bytes, so that an icon's pixels are never taken for the image's.
import { elementHeader, isVR, viewOf, type Encoding } from './dicom-bytes.ts';
import { fieldName, tags } from './dicom-elements.ts';

/** An element as it is stored. */
export interface Element {
  /** Value representation; null in implicit encoding. */
  vr: string | null;
  bytes: Uint8Array;
  little: boolean;
  /** The data sets of a sequence; empty for other elements. */
  items: DataSet[];
}

/** By tag, eight upper-case hexadecimal digits: the elements that the reader uses. */
export type DataSet = ReadonlyMap<string, Element>;

/** The value of Pixel Data: uncompressed bytes, or fragments of compressed frames. */
export type PixelData =
  | { bytes: Uint8Array; vr: string | null }
  | {
      fragments: readonly Fragment[];
      /** The Basic Offset Table: where each frame starts, as in `Fragment.offset`; often empty. */
      offsets: readonly number[];
    };

export interface Fragment {
  bytes: Uint8Array;
  /** Position of the fragment's item, counted from the item of the first fragment. */
  offset: number;
}

/** Sequences may be nested this deep; an Enhanced CT needs three levels. */
export const MAX_NESTING = 64;

/** With more elements out of order than this, a file counts as damaged; some writers get a few out of order. */
const MAX_OUT_OF_ORDER = 100;

const UNDEFINED_LENGTH = 0xffffffff;
const ITEM = 0xfffee000;
const ITEM_END = 0xfffee00d;
const SEQUENCE_END = 0xfffee0dd;
const PIXEL_DATA = Number.parseInt(tags.PixelData, 16);

/** Sequences that the reader looks into; the others are skipped. */
const SEQUENCES: ReadonlySet<string> = new Set([
  tags.SharedFunctionalGroupsSequence,
  tags.PerFrameFunctionalGroupsSequence,
  '00189304', // CTAcquisitionDetailsSequence: GantryDetectorTilt
  '00189329', // CTImageFrameTypeSequence: FrameType
  '00209111', // FrameContentSequence
  '00209113', // PlanePositionSequence
  '00209116', // PlaneOrientationSequence
  '00289110', // PixelMeasuresSequence
  '00289132', // FrameVOILUTSequence
  '00289145', // PixelValueTransformationSequence
]);
const WANTED: ReadonlySet<string> = new Set([...Object.values(tags), ...SEQUENCES]);

/**
 * Reads the elements up to and including the top-level Pixel Data, which is null if there is none; or those whose tag is
 * below `until`. Throws an Error with
 * the reason if an element does not end within the file or its sequence, the elements are out of order, sequences are
 * nested more than `MAX_NESTING` deep, or compressed Pixel Data has no end.
 */
export function readElements(
  bytes: Uint8Array,
  encoding: Encoding,
  until = Infinity,
): { dataset: DataSet; pixelData: PixelData | null } {
  const walker = new Walker(bytes, until);
  const { dataset } = walker.elements({ at: 0, end: bytes.length, delimited: false }, encoding, 0);
  return { dataset, pixelData: walker.pixelData };
}

/** Where a data set or the items of a sequence stand: until `end`, or until a delimiter before it. */
interface Range {
  at: number;
  end: number;
  delimited: boolean;
}

class Walker {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #until: number;
  #outOfOrder = 0;
  pixelData: PixelData | null = null;

  constructor(bytes: Uint8Array, until: number) {
    this.#bytes = bytes;
    this.#until = until;
    this.#view = viewOf(bytes);
  }

  /** One data set, and the position after it. */
  elements(
    { at, end, delimited }: Range,
    encoding: Encoding,
    depth: number,
  ): { dataset: DataSet; next: number } {
    const dataset = new Map<string, Element>();
    let last = -1;
    for (;;) {
      const header = at + 8 <= end ? elementHeader(this.#bytes, at, encoding) : undefined;
      if (header === undefined || header.value > end) {
        if (delimited) throw new Error('is cut short: it ends within a sequence');
        return { dataset, next: end };
      }
      const { tag, vr, value, length } = header;
      if (tag === ITEM_END && delimited) return { dataset, next: value };
      if (depth === 0 && tag >= this.#until) return { dataset, next: at };
      if (tag <= last && ++this.#outOfOrder > MAX_OUT_OF_ORDER)
        throw new Error('is damaged: its elements are out of order');
      last = tag;
      const isPixelData = tag === PIXEL_DATA && depth === 0;
      if (length !== UNDEFINED_LENGTH) this.#requireWithin({ tag, value, length, end, depth });
      if (isPixelData) {
        this.pixelData =
          length === UNDEFINED_LENGTH
            ? this.#fragments(value, encoding.little)
            : { bytes: this.#bytes.subarray(value, value + length), vr };
        return { dataset, next: end };
      }
      const name = hex(tag);
      const wanted = WANTED.has(name);
      const isSequence = length === UNDEFINED_LENGTH || (wanted && SEQUENCES.has(name));
      const delimitedItems = length === UNDEFINED_LENGTH;
      const range = { at: value, end: delimitedItems ? end : value + length, delimited: delimitedItems };
      const { items, next } = isSequence
        ? this.#items(range, { encoding, tag, vr, depth: depth + 1, keep: wanted })
        : { items: [], next: range.end };
      if (wanted) {
        const stored = this.#bytes.subarray(value, isSequence ? value : value + length);
        dataset.set(name, { vr, bytes: stored, little: encoding.little, items });
      }
      at = next;
    }
  }

  /** The items of a sequence, as data sets if they are to be kept, and the position after the sequence. */
  #items(
    { at, end, delimited }: Range,
    sequence: { encoding: Encoding; tag: number; vr: string | null; depth: number; keep: boolean },
  ): { items: DataSet[]; next: number } {
    const { encoding, tag, vr, depth, keep } = sequence;
    if (depth > MAX_NESTING) throw new Error(`has sequences nested more than ${MAX_NESTING} deep`);
    // A sequence of unknown VR is encoded as implicit little endian, whatever the transfer syntax (PS3.5, 6.2.2 note 4).
    const little = vr === 'UN' || encoding.little;
    const items: DataSet[] = [];
    while (delimited || at < end) {
      if (at + 8 > end) throw new Error(`is cut short: it ends within the sequence ${tagName(tag)}`);
      const itemTag = this.#tag(at, little);
      const length = this.#view.getUint32(at + 4, little);
      const content = at + 8;
      if (itemTag === SEQUENCE_END) return { items, next: content };
      if (itemTag !== ITEM)
        throw new Error(`is damaged: the sequence ${tagName(tag)} holds something other than items`);
      const known = length !== UNDEFINED_LENGTH;
      if (known) this.#requireWithin({ tag, value: content, length, end, depth });
      const range = { at: content, end: known ? content + length : end, delimited: !known };
      if (known && !keep) at = range.end;
      else {
        const implicit = vr === 'UN' ? !isVR(this.#bytes, content + 4) : encoding.implicit;
        const { dataset, next } = this.elements(range, { implicit, little }, depth);
        if (keep) items.push(dataset);
        at = next;
      }
    }
    return { items, next: end };
  }

  /** The fragments of compressed Pixel Data (PS3.5, A.4). */
  #fragments(at: number, little: boolean): PixelData {
    const field = fieldName('PixelData');
    const parts: { bytes: Uint8Array; at: number }[] = [];
    for (;;) {
      if (at + 8 > this.#bytes.length)
        throw new Error(`is cut short: field ${field} does not end with a sequence delimiter`);
      const tag = this.#tag(at, little);
      const length = this.#view.getUint32(at + 4, little);
      if (tag === SEQUENCE_END) break;
      if (tag !== ITEM) throw new Error(`is damaged: field ${field} holds something other than fragments`);
      const content = at + 8;
      if (content + length > this.#bytes.length)
        throw new Error(
          `is cut short: a fragment of field ${field} has ${this.#bytes.length - content} of its ${length} bytes`,
        );
      parts.push({ bytes: this.#bytes.subarray(content, content + length), at });
      at = content + length;
    }
    const [table, ...others] = parts;
    const view = viewOf(table?.bytes ?? new Uint8Array());
    return {
      offsets: Array.from({ length: view.byteLength >> 2 }, (_, i) => view.getUint32(4 * i, little)),
      fragments: others.map((part) => ({ bytes: part.bytes, offset: part.at - others[0]!.at })),
    };
  }

  #tag(at: number, little: boolean) {
    return this.#view.getUint16(at, little) * 0x10000 + this.#view.getUint16(at + 2, little);
  }

  #requireWithin(options: { tag: number; value: number; length: number; end: number; depth: number }) {
    const { tag, value, length, end, depth } = options;
    if (value + length <= end) return;
    if (end < this.#bytes.length)
      throw new Error(`is damaged: element ${tagName(tag)} is longer than the sequence that holds it`);
    const element =
      tag === PIXEL_DATA && depth === 0 ? `field ${fieldName('PixelData')}` : `element ${tagName(tag)}`;
    throw new Error(`is cut short: ${element} has ${end - value} of its ${length} bytes`);
  }
}

const hex = (tag: number) => tag.toString(16).toUpperCase().padStart(8, '0');
const tagName = (tag: number) => `(${hex(tag).slice(0, 4)},${hex(tag).slice(4)})`;
