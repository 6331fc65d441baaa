// A scan as it was read, before slices are chosen, resized or scaled.

/** One axial slice, C order [height, width]. Row 0 is anterior and column 0 the patient's right, where that is known. */
export interface Slice {
  height: number;
  width: number;
  /** Int16Array: Hounsfield units. Uint8Array: grey values. One kind in all slices of a scan. */
  data: Int16Array | Uint8Array;
}

/** 8-bit grey, C order [height, width]. */
export interface GreyImage {
  height: number;
  width: number;
  data: Uint8Array;
}

export interface Scan {
  /** From head to feet where the files tell, else in the files' order. */
  slices: Slice[];
  /** `HU`: Hounsfield units; `grey`: 8-bit values, v standing for v / 255 · 1500 − 1150 HU. */
  values: 'HU' | 'grey';
  /** Millimetres between the centres of slices, of rows and of columns; null where they are not known. */
  spacing: { slices: number; rows: number; columns: number } | null;
  patient: string | null;
  series: string | null;
  /** What is odd about the files. */
  findings: ScanFinding[];
}

/** `kind` for programs (`missing-slices`), `message` for a person. */
export interface ScanFinding {
  kind: string;
  message: string;
}

/** The grey value that stands for so many Hounsfield units, cut at black and white. */
export function greyOfHU(hounsfield: number): number {
  return Math.max(0, Math.min(255, Math.round(((hounsfield + 1150) / 1500) * 255)));
}

/** Grey of every value that 16 bits hold. */
const greys = Uint8Array.from({ length: 1 << 16 }, (_, i) => greyOfHU(i - 32768));

/** Hounsfield units by `greyOfHU`; grey values as they are. */
export function greyOf({ height, width, data }: Slice): GreyImage {
  if (data instanceof Uint8Array) return { height, width, data };
  const grey = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) grey[i] = greys[data[i]! + 32768]!;
  return { height, width, data: grey };
}
