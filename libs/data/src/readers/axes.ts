// How the voxel axes of a volume file are oriented in the patient: the permutation and flips to the order of scans.
import type { Scan, ScanFinding } from '../scan.ts';

/** Which axis of the file becomes one axis of the scan. */
export interface Axis {
  /** 0, 1, 2 for i, j, k. */
  axis: number;
  /** Whether the file's axis runs in the opposite direction. */
  flipped: boolean;
}

export interface Axes {
  slices: Axis;
  rows: Axis;
  columns: Axis;
  spacing: Scan['spacing'];
  findings: ScanFinding[];
}

/** 3 × 3. Rows: right, anterior, superior; columns: the axes i, j, k of the file. */
export type Matrix = readonly (readonly number[])[];

const PERMUTATIONS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
] as const;
/** What a file's header states of its axes. */
export interface Geometry {
  /** The axes as unit vectors in its columns. */
  directions: Matrix;
  /** Distances of neighbouring voxels along i, j, k, in millimetres; NaN if the file states none. */
  lengths: readonly number[];
  findings: ScanFinding[];
}

/** The columns of a matrix as unit vectors, and their lengths; null if the matrix is singular or not finite. */
export function unitColumns(matrix: Matrix): Pick<Geometry, 'directions' | 'lengths'> | null {
  const lengths = [0, 1, 2].map((i) => Math.hypot(matrix[0]![i]!, matrix[1]![i]!, matrix[2]![i]!));
  const directions = [0, 1, 2].map((row) => lengths.map((length, i) => matrix[row]![i]! / length));
  return Math.abs(determinant(directions)) > 0.1 ? { directions, lengths } : null;
}

/**
 * Finds the permutation of the voxel axes that is nearest to the patient's axes, and their directions. Nothing is
 * interpolated: the angle of oblique axes is a finding.
 */
export function axesOf({ directions, lengths, findings: found }: Geometry): Axes {
  const findings = [...found];
  const cosine = (row: number, axis: number) => Math.min(1, Math.abs(directions[row]![axis]!));
  const fit = (axes: readonly number[]) => axes.reduce((sum, axis, row) => sum + cosine(row, axis), 0);
  const nearest = PERMUTATIONS.reduce((best, axes) => (fit(axes) > fit(best) + 1e-6 ? axes : best));

  const oblique = Math.max(...nearest.map((axis, row) => (Math.acos(cosine(row, axis)) * 180) / Math.PI));
  if (oblique > 1)
    findings.push({
      kind: 'oblique-axes',
      message: `the axes are ${oblique.toFixed(1)} degrees off the patient's axes; the volume is read along the nearest ones`,
    });
  const [columns, rows, slices] = nearest.map((axis) => millimetres(lengths[axis]!)) as [
    number,
    number,
    number,
  ];
  const sizes = [columns, rows, slices];
  const plausible = sizes.every((mm) => mm >= 0.01 && mm <= 100);
  if (!plausible)
    findings.push({
      kind: 'implausible-spacing',
      message: `voxels of ${sizes.map((mm) => mm.toPrecision(3)).join(' × ')} mm are implausible; the spacing is ignored`,
    });
  // Affines point to the right, anterior and superior (RAS); in a scan the right, front and head come first.
  const [x, y, z] = nearest.map((axis, row) => ({ axis, flipped: directions[row]![axis]! > 0 }));
  const spacing = plausible ? { slices, rows, columns } : null;
  return { slices: z!, rows: y!, columns: x!, spacing, findings };
}

/** Rounded to nanometres, which removes the noise of single precision. */
const millimetres = (length: number) => Math.round(length * 1e6) / 1e6;

/** NaN if an element is not finite. */
function determinant(matrix: Matrix): number {
  const [[a, b, c], [d, e, f], [g, h, i]] = matrix as [Three, Three, Three];
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}
type Three = readonly [number, number, number];
