// The elements of a parsed DICOM file by keyword, with their types checked.
import { latin1, trimmed, viewOf } from './dicom-bytes.ts';
import type { DataSet, Element } from './dicom-walker.ts';

/** The elements that the reader uses: by keyword, the tag in eight hexadecimal digits. */
export const tags = {
  SpecificCharacterSet: '00080005',
  ImageType: '00080008',
  SOPClassUID: '00080016',
  AcquisitionDate: '00080022',
  AcquisitionTime: '00080032',
  ContentTime: '00080033',
  Modality: '00080060',
  SeriesDescription: '0008103E',
  FrameType: '00089007',
  PatientID: '00100020',
  SliceThickness: '00180050',
  KVP: '00180060',
  SpacingBetweenSlices: '00180088',
  TriggerTime: '00181060',
  ReconstructionDiameter: '00181100',
  GantryDetectorTilt: '00181120',
  ConvolutionKernel: '00181210',
  StudyInstanceUID: '0020000D',
  SeriesInstanceUID: '0020000E',
  SeriesNumber: '00200011',
  AcquisitionNumber: '00200012',
  InstanceNumber: '00200013',
  ImagePositionPatient: '00200032',
  ImageOrientationPatient: '00200037',
  FrameOfReferenceUID: '00200052',
  TemporalPositionIdentifier: '00200100',
  SliceLocation: '00201041',
  StackID: '00209056',
  TemporalPositionIndex: '00209128',
  FrameAcquisitionNumber: '00209156',
  SamplesPerPixel: '00280002',
  PhotometricInterpretation: '00280004',
  NumberOfFrames: '00280008',
  Rows: '00280010',
  Columns: '00280011',
  PixelSpacing: '00280030',
  BitsAllocated: '00280100',
  BitsStored: '00280101',
  HighBit: '00280102',
  PixelRepresentation: '00280103',
  PixelPaddingValue: '00280120',
  PixelPaddingRangeLimit: '00280121',
  WindowCenter: '00281050',
  WindowWidth: '00281051',
  RescaleIntercept: '00281052',
  RescaleSlope: '00281053',
  SharedFunctionalGroupsSequence: '52009229',
  PerFrameFunctionalGroupsSequence: '52009230',
  ExtendedOffsetTable: '7FE00001',
  PixelData: '7FE00010',
} as const;
export type Keyword = keyof typeof tags;

/** A field's name in messages: `Rows (0028,0010)`. */
export const fieldName = (keyword: Keyword) =>
  `${keyword} (${tags[keyword].slice(0, 4)},${tags[keyword].slice(4)})`;

/** The elements of one frame: looked up in the frame's own functional groups, then the shared ones, then the file. */
export class Elements {
  readonly #datasets: readonly DataSet[];

  constructor(datasets: readonly DataSet[]) {
    this.#datasets = datasets;
  }

  /** The values of an element; empty if it is absent or has no value. */
  values(keyword: Keyword): (string | number)[] {
    for (const dataset of this.#datasets) {
      const element = dataset.get(tags[keyword]);
      const found = element === undefined ? [] : this.#decoded(element, keyword);
      if (found.length > 0) return found;
    }
    return [];
  }

  #decoded(element: Element, keyword: Keyword): (string | number)[] {
    const characterSet = this.#datasets.at(-1)!.get(tags.SpecificCharacterSet)?.bytes ?? new Uint8Array();
    const values = decodedValues(element, keyword, trimmed(latin1(characterSet, 0, characterSet.length)));
    return values.filter((value) => value !== '');
  }

  /** The values as text, without padding. */
  texts(keyword: Keyword): string[] {
    return this.values(keyword).map((value) => trimmed(String(value)));
  }

  /** The first value as text, without padding; null if there is none or it is empty. */
  text(keyword: Keyword): string | null {
    return this.texts(keyword)[0] || null;
  }

  /** The first `count` numbers; null if the element is absent, or has fewer values or values that are not finite. */
  numbers(keyword: Keyword, count: number): number[] | null {
    const numbers = this.texts(keyword).slice(0, count).map(numberOf);
    return numbers.length === count && numbers.every(Number.isFinite) ? numbers : null;
  }

  /** A finite number; null if the element is absent. Throws an Error if it is not a finite number. */
  number(keyword: Keyword): number | null {
    const text = this.text(keyword);
    if (text === null) return null;
    const number = numberOf(text);
    if (!Number.isFinite(number))
      throw new Error(`field ${fieldName(keyword)}: “${text.slice(0, 32)}” is not a number`);
    return number;
  }

  /**
   * A whole number within the limits, both included; `missing` if the element is absent. Throws an Error if it is absent
   * without a default, or outside the limits.
   */
  whole(keyword: Keyword, limits: { from: number; to: number; missing?: number }): number {
    const number = this.number(keyword) ?? limits.missing;
    if (number === undefined) throw new Error(`field ${fieldName(keyword)} is missing`);
    if (!Number.isInteger(number) || number < limits.from || number > limits.to)
      throw new Error(
        `field ${fieldName(keyword)}: ${number} is not a whole number from ${limits.from} to ${limits.to}`,
      );
    return number;
  }
}

/** The elements of the frame with this index, from 0. */
export function frameElements(dataset: DataSet, frame: number): Elements {
  const groups = [
    dataset.get(tags.PerFrameFunctionalGroupsSequence)?.items[frame],
    dataset.get(tags.SharedFunctionalGroupsSequence)?.items[0],
  ];
  const macros = groups.flatMap((group) => [...(group?.values() ?? [])].flatMap(({ items }) => items));
  return new Elements([...macros, dataset]);
}

const NUMERIC: readonly Keyword[] = [
  'SamplesPerPixel',
  'Rows',
  'Columns',
  'BitsAllocated',
  'BitsStored',
  'HighBit',
  'PixelRepresentation',
  'PixelPaddingValue',
  'PixelPaddingRangeLimit',
  'FrameAcquisitionNumber',
];

/** By value representation: the bytes of one number, and how it is read. */
const NUMBERS: Readonly<
  Record<string, [size: number, read: (view: DataView, at: number, little: boolean) => number]>
> = {
  US: [2, (view, at, little) => view.getUint16(at, little)],
  SS: [2, (view, at, little) => view.getInt16(at, little)],
  UL: [4, (view, at, little) => view.getUint32(at, little)],
  SL: [4, (view, at, little) => view.getInt32(at, little)],
  FL: [4, (view, at, little) => view.getFloat32(at, little)],
  FD: [8, (view, at, little) => view.getFloat64(at, little)],
  OV: [8, (view, at, little) => Number(view.getBigUint64(at, little))],
};

/** The numbers of a binary element, or the texts of any other. */
function decodedValues(element: Element, keyword: Keyword, characterSet: string): (string | number)[] {
  const { bytes, little } = element;
  const unknown = element.vr === null || element.vr === 'UN';
  const vr = unknown
    ? NUMERIC.includes(keyword)
      ? 'US'
      : keyword === 'ExtendedOffsetTable'
        ? 'OV'
        : keyword === 'TemporalPositionIndex'
          ? 'UL'
          : ''
    : element.vr!;
  const number = NUMBERS[vr];
  if (number === undefined) return textOf(bytes, characterSet).split('\\');
  const [size, read] = number;
  const view = viewOf(bytes);
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, i) => read(view, i * size, little));
}

/** Character sets without code extensions (PS3.3, C.12.1.1.2) by the names that TextDecoder knows. */
const CHARACTER_SETS: Readonly<Record<string, string>> = {
  'ISO_IR 101': 'iso-8859-2',
  'ISO_IR 109': 'iso-8859-3',
  'ISO_IR 110': 'iso-8859-4',
  'ISO_IR 144': 'iso-8859-5',
  'ISO_IR 127': 'iso-8859-6',
  'ISO_IR 126': 'iso-8859-7',
  'ISO_IR 138': 'iso-8859-8',
  'ISO_IR 166': 'windows-874',
  'ISO_IR 13': 'shift_jis',
  'ISO_IR 192': 'utf-8',
  GB18030: 'gb18030',
  GBK: 'gbk',
};

function textOf(bytes: Uint8Array, characterSet: string): string {
  const label = CHARACTER_SETS[characterSet];
  const isAscii = bytes.every((byte) => byte < 0x80);
  return label === undefined || isAscii
    ? latin1(bytes, 0, bytes.length)
    : new TextDecoder(label).decode(bytes);
}

const numberOf = (text: string) => (text === '' ? NaN : Number(text));
