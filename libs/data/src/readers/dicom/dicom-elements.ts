// The elements of a parsed DICOM file by keyword, with their types checked.
import type { Dataset } from 'dcmjs';
import { trimmed } from './dicom-bytes.ts';

/** The elements that the reader uses: by keyword, the tag as dcmjs writes it. */
export const tags = {
  ImageType: '00080008',
  Modality: '00080060',
  PatientID: '00100020',
  SliceThickness: '00180050',
  SpacingBetweenSlices: '00180088',
  GantryDetectorTilt: '00181120',
  SeriesInstanceUID: '0020000E',
  InstanceNumber: '00200013',
  ImagePositionPatient: '00200032',
  ImageOrientationPatient: '00200037',
  FrameOfReferenceUID: '00200052',
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
  PixelData: '7FE00010',
} as const;
export type Keyword = keyof typeof tags;

/** A field's name in messages: `Rows (0028,0010)`. */
export const fieldName = (keyword: Keyword) =>
  `${keyword} (${tags[keyword].slice(0, 4)},${tags[keyword].slice(4)})`;

/** The elements of one frame: looked up in the frame's own functional groups, then the shared ones, then the file. */
export class Elements {
  readonly #datasets: readonly Dataset[];

  constructor(datasets: readonly Dataset[]) {
    this.#datasets = datasets;
  }

  /** The values of an element; empty if it is absent or has no value. */
  values(keyword: Keyword): unknown[] {
    for (const dataset of this.#datasets) {
      const found = valuesOf(dataset, keyword);
      if (found.length > 0) return found;
    }
    return [];
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
export function frameElements(dataset: Dataset, frame: number): Elements {
  const groups = [
    valuesOf(dataset, 'PerFrameFunctionalGroupsSequence')[frame],
    valuesOf(dataset, 'SharedFunctionalGroupsSequence')[0],
  ].filter(isDataset);
  const macros = groups.flatMap((group) =>
    Object.values(group).flatMap((element) => (Array.isArray(element?.Value) ? element.Value : [])),
  );
  return new Elements([...macros.filter(isDataset), dataset]);
}

function valuesOf(dataset: Dataset, keyword: Keyword): unknown[] {
  const { Value, _rawValue } = dataset[tags[keyword]] ?? {};
  // When dcmjs parses a number it drops every character that is not a digit: “1.O5” would become 1.5.
  const isText = Array.isArray(_rawValue) && _rawValue.every((item) => typeof item === 'string');
  const value = isText ? _rawValue : Value;
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return values.filter((item) => item !== undefined && item !== null && item !== '');
}

const isDataset = (value: unknown): value is Dataset =>
  typeof value === 'object' && value !== null && !ArrayBuffer.isView(value);
const numberOf = (text: string) => (text === '' ? NaN : Number(text));
