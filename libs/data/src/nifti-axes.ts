// How the voxel axes of a NIfTI file lie in the patient, from its affine.
import type { NIFTI1, NIFTI2 } from 'nifti-reader-js';
import type { Scan, ScanFinding } from './scan.ts';

/** One axis of our order as an axis of the file: 0, 1, 2 for i, j, k; flipped where it runs the other way. */
export interface Axis {
  axis: number;
  flipped: boolean;
}

export interface Axes {
  slices: Axis;
  rows: Axis;
  columns: Axis;
  spacing: Scan['spacing'];
  findings: ScanFinding[];
}

const PERMUTATIONS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
] as const;
const MILLIMETRES: Record<number, number> = { 1: 1000, 2: 1, 3: 0.001 };

/**
 * The nearest axes: which voxel axes run most along the patient's, by the affine's columns made unit vectors. Rows of
 * an affine are right, anterior, superior. An unknown unit (often so) is taken as millimetres.
 */
export function axesOf(header: NIFTI1 | NIFTI2, bytes: Buffer): Axes {
  const findings: ScanFinding[] = [];
  const affine = affineOf({ header, bytes, findings });
  const lengths = [0, 1, 2].map((axis) => lengthOf(affine, axis));
  const cosine = (row: number, axis: number) => affine[row]![axis]! / lengths[axis]!;
  const fit = (axes: readonly number[]) =>
    axes.reduce((sum, axis, row) => sum + Math.abs(cosine(row, axis)), 0);
  const nearest = PERMUTATIONS.reduce((best, axes) => (fit(axes) > fit(best) + 1e-6 ? axes : best));

  const angles = nearest.map((axis, row) => Math.acos(Math.min(1, Math.abs(cosine(row, axis)))));
  const oblique = (Math.max(...angles) * 180) / Math.PI;
  if (oblique > 1)
    findings.push({
      kind: 'oblique-axes',
      message: `its axes are ${oblique.toFixed(1)} degrees off the patient's; read along the nearest ones`,
    });
  const unit = MILLIMETRES[header.xyzt_units & 7] ?? 1;
  const [columns, rows, slices] = nearest.map((axis) => lengths[axis]! * unit) as [number, number, number];
  const plausible = [columns, rows, slices].every((mm) => mm >= 0.01 && mm <= 100);
  if (!plausible)
    findings.push({
      kind: 'implausible-spacing',
      message: `voxels of ${[columns, rows, slices].map((mm) => mm.toPrecision(3)).join(' × ')} mm, not believed`,
    });
  // The patient's right, anterior and head come first: against each axis of RAS.
  const [x, y, z] = nearest.map((axis, row) => ({ axis, flipped: affine[row]![axis]! > 0 })) as [
    Axis,
    Axis,
    Axis,
  ];
  return { slices: z, rows: y, columns: x, spacing: plausible ? { slices, rows, columns } : null, findings };
}

/** The library's own `affine` prefers the form of the higher code, and knows no qform in NIfTI-2. */
function affineOf(options: { header: NIFTI1 | NIFTI2; bytes: Buffer; findings: ScanFinding[] }): number[][] {
  const { header, bytes, findings } = options;
  const forms = [
    { name: 'sform', code: header.sform_code, affine: () => sformOf(header, bytes) },
    { name: 'qform', code: header.qform_code, affine: () => header.getQformMat() },
  ].filter(({ code }) => code > 0);
  for (const { name, affine } of forms) {
    const matrix = affine();
    if (isUsable(matrix)) return matrix;
    findings.push({
      kind: 'unusable-affine',
      message: `header, field ${name}_code: the ${name} is no affine`,
    });
  }
  findings.push({
    kind: 'unknown-orientation',
    message:
      'the header says nothing usable about the orientation (fields sform_code, qform_code): i taken as running to ' +
      'the left, j to the front, k to the head',
  });
  const [dx, dy, dz] = header.pixDims
    .slice(1, 4)
    .map((d) => (Math.abs(d) > 0 && Number.isFinite(d) ? Math.abs(d) : 0));
  const known = dx! > 0 && dy! > 0 && dz! > 0;
  return known
    ? [
        [-dx!, 0, 0],
        [0, dy!, 0],
        [0, 0, dz!],
      ]
    : [
        [-Infinity, 0, 0],
        [0, Infinity, 0],
        [0, 0, Infinity],
      ];
}

function sformOf(header: NIFTI1 | NIFTI2, bytes: Buffer): number[][] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const value =
    bytes.length === 348
      ? (n: number) => view.getFloat32(280 + 4 * n, header.littleEndian)
      : (n: number) => view.getFloat64(400 + 8 * n, header.littleEndian);
  return [0, 1, 2].map((row) => [0, 1, 2].map((column) => value(4 * row + column)));
}

/** Three finite axes that span a space, not nearly a plane. */
function isUsable(affine: number[][]): boolean {
  const lengths = [0, 1, 2].map((axis) => lengthOf(affine, axis));
  const [a, b, c] = [0, 1, 2].map((axis) =>
    [0, 1, 2].map((row) => affine[row]![axis]! / lengths[axis]!),
  ) as Three[];
  const [x, y, z] = a!;
  const [u, v, w] = b!;
  const [p, q, r] = c!;
  return Math.abs(x * (v * r - w * q) - y * (u * r - w * p) + z * (u * q - v * p)) > 0.1;
}
type Three = [number, number, number];

const lengthOf = (affine: number[][], axis: number) =>
  Math.hypot(affine[0]![axis]!, affine[1]![axis]!, affine[2]![axis]!);
