// The geometry that a NIfTI header states, from its affine matrices.
import type { NIFTI1, NIFTI2 } from 'nifti-reader-js';
import type { ScanFinding } from '../../scan.ts';
import { unitColumns, type Geometry, type Matrix } from '../axes.ts';

/** Millimetres per unit, by the code in `xyzt_units`; an unknown unit, which is frequent, means millimetres. */
const MILLIMETRES: Record<number, number> = { 1: 1000, 2: 1, 3: 0.001 };

/**
 * Uses the sform, or else the qform; without either, axes that run to the left, to the front and to the head are assumed,
 * with a finding. Not taken from the library's `affine`, which prefers the form with the higher code and ignores the
 * qform of NIfTI-2.
 */
export function geometryOf(header: NIFTI1 | NIFTI2, bytes: Buffer): Geometry {
  const findings: ScanFinding[] = [];
  const unit = MILLIMETRES[header.xyzt_units & 7] ?? 1;
  const inMillimetres = (length: number) => length * unit;
  const forms = [
    { name: 'sform', code: header.sform_code, affine: () => sformOf(header, bytes) },
    { name: 'qform', code: header.qform_code, affine: () => header.getQformMat() },
  ];
  for (const { name, affine } of forms.filter(({ code }) => code > 0)) {
    const columns = unitColumns(affine());
    if (columns !== null)
      return { directions: columns.directions, lengths: columns.lengths.map(inMillimetres), findings };
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
  return { directions, lengths: header.pixDims.slice(1, 4).map(Math.abs).map(inMillimetres), findings };
}

function sformOf(header: NIFTI1 | NIFTI2, bytes: Buffer): Matrix {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const value =
    bytes.length === 348
      ? (n: number) => view.getFloat32(280 + 4 * n, header.littleEndian)
      : (n: number) => view.getFloat64(400 + 8 * n, header.littleEndian);
  return [0, 1, 2].map((row) => [0, 1, 2].map((column) => value(4 * row + column)));
}
