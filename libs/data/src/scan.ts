// A scan as it is read from files, before slices are chosen, resized or scaled.

/** One axial slice. Row 0 is anterior and column 0 is the patient's right, if the file states the orientation. */
export interface Slice {
  height: number;
  width: number;
  /** C order [height, width]. Int16Array: Hounsfield units; Uint8Array: grey values. The same kind in all slices of a scan. */
  data: Int16Array | Uint8Array;
}

/** An 8-bit grey image, or a mask of the same layout; `data` is C order [height, width]. */
export interface GreyImage {
  height: number;
  width: number;
  data: Uint8Array;
}

export interface Scan {
  /** From head to feet if the files state positions, otherwise in the order of the files. */
  slices: Slice[];
  /** `HU`: Hounsfield units; `grey`: 8-bit values, where v means v / 255 · 1500 − 1150 HU. */
  values: 'HU' | 'grey';
  /** Millimetres between the centres of slices, of rows and of columns; null if unknown. */
  spacing: { slices: number; rows: number; columns: number } | null;
  /** Patient ID; null if the files state none. */
  patient: string | null;
  /** DICOM SeriesInstanceUID; null if there is none. */
  series: string | null;
  findings: ScanFinding[];
}

/** Something unusual about a scan's files that did not prevent reading them. */
export interface ScanFinding {
  /** An identifier for programs, such as `missing-slices`. */
  kind: string;
  /** For a person. */
  message: string;
}

/** The grey value of Hounsfield units: (HU + 1150) / 1500 · 255, rounded and clamped to 0 … 255. */
export function greyOfHU(hounsfield: number): number {
  return Math.max(0, Math.min(255, Math.round(((hounsfield + 1150) / 1500) * 255)));
}

/** [65536], the grey value of every 16-bit number, from −32768 on. */
const greys = Uint8Array.from({ length: 1 << 16 }, (_, i) => greyOfHU(i - 32768));

/** A slice as a grey image: Hounsfield units by `greyOfHU`, grey values as they are (the data is then shared). */
export function greyOf({ height, width, data }: Slice): GreyImage {
  if (data instanceof Uint8Array) return { height, width, data };
  const grey = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) grey[i] = greys[data[i]! + 32768]!;
  return { height, width, data: grey };
}
