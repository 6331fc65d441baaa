// How the voxel axes of a NIfTI file are oriented in the patient, from its affine matrix.
import type { NIFTI1, NIFTI2 } from 'nifti-reader-js';
import type { Scan, ScanFinding } from '../../scan.ts';

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

/** The upper left 3 × 3 of an affine. Rows: right, anterior, superior; columns: i, j, k. */
type Matrix = readonly (readonly number[])[];

const PERMUTATIONS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
] as const;
/** Millimetres per unit, by the code in `xyzt_units`; an unknown unit, which is frequent, means millimetres. */
const MILLIMETRES: Record<number, number> = { 1: 1000, 2: 1, 3: 0.001 };

/**
 * Finds the permutation of the voxel axes that is nearest to the patient's axes, and their directions. Uses the sform, or
 * else the qform; without either, axes that run to the left, to the front and to the head are assumed, with a finding.
 */
export function axesOf(header: NIFTI1 | NIFTI2, bytes: Buffer): Axes {
  const { directions, lengths, findings } = geometryOf(header, bytes);
  const cosine = (row: number, axis: number) => Math.min(1, Math.abs(directions[row]![axis]!));
  const fit = (axes: readonly number[]) => axes.reduce((sum, axis, row) => sum + cosine(row, axis), 0);
  const nearest = PERMUTATIONS.reduce((best, axes) => (fit(axes) > fit(best) + 1e-6 ? axes : best));

  const oblique = Math.max(...nearest.map((axis, row) => (Math.acos(cosine(row, axis)) * 180) / Math.PI));
  if (oblique > 1)
    findings.push({
      kind: 'oblique-axes',
      message: `the axes are ${oblique.toFixed(1)} degrees off the patient's axes; the volume is read along the nearest ones`,
    });
  const unit = MILLIMETRES[header.xyzt_units & 7] ?? 1;
  const [columns, rows, slices] = nearest.map((axis) => millimetres(lengths[axis]! * unit)) as [
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

/**
 * The columns of the affine matrix as unit vectors, and their lengths. Not taken from the library's `affine`, which
 * prefers the form with the higher code and ignores the qform of NIfTI-2.
 */
function geometryOf(header: NIFTI1 | NIFTI2, bytes: Buffer) {
  const findings: ScanFinding[] = [];
  const forms = [
    { name: 'sform', code: header.sform_code, affine: () => sformOf(header, bytes) },
    { name: 'qform', code: header.qform_code, affine: () => header.getQformMat() },
  ];
  for (const { name, affine } of forms.filter(({ code }) => code > 0)) {
    const matrix: Matrix = affine();
    const lengths = [0, 1, 2].map((i) => Math.hypot(matrix[0]![i]!, matrix[1]![i]!, matrix[2]![i]!));
    const directions = [0, 1, 2].map((row) => lengths.map((length, i) => matrix[row]![i]! / length));
    if (Math.abs(determinant(directions)) > 0.1) return { directions, lengths, findings };
    const message = `header, field ${name}_code: the ${name} is singular and is ignored`;
    findings.push({ kind: 'unusable-affine', message });
  }
  findings.push({
    kind: 'unknown-orientation',
    message:
      'the header states no orientation (fields sform_code, qform_code): the axes are assumed to run to the left, to ' +
      'the front and to the head',
  });
  const directions = [
    [-1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ];
  return { directions, lengths: header.pixDims.slice(1, 4).map(Math.abs), findings };
}

function sformOf(header: NIFTI1 | NIFTI2, bytes: Buffer): Matrix {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const value =
    bytes.length === 348
      ? (n: number) => view.getFloat32(280 + 4 * n, header.littleEndian)
      : (n: number) => view.getFloat64(400 + 8 * n, header.littleEndian);
  return [0, 1, 2].map((row) => [0, 1, 2].map((column) => value(4 * row + column)));
}

/** NaN if an element is not finite. */
function determinant(matrix: Matrix): number {
  const [[a, b, c], [d, e, f], [g, h, i]] = matrix as [Three, Three, Three];
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}
type Three = readonly [number, number, number];
