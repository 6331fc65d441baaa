// What everything here is computed from: class probabilities of scans, their labels and their patients, checked once.
import { UserError } from '@ct-ensemble/core';

/** Why a set of predictions cannot be evaluated. */
export type InputProblem =
  | 'no-scan'
  | 'lengths-differ'
  | 'row-length'
  | 'not-a-number'
  | 'infinite'
  | 'negative'
  | 'row-sum'
  | 'label-not-an-integer'
  | 'label-out-of-range'
  | 'other-scans'
  | 'option';

/** Input that cannot be evaluated; `reason` says why in one word for programs, the message for people. */
export class EvaluationInputError extends UserError {
  readonly reason: InputProblem;

  constructor(reason: InputProblem, message: string, remedy?: string) {
    super(message, remedy === undefined ? {} : { remedy });
    this.name = 'EvaluationInputError';
    this.reason = reason;
  }
}

/**
 * Checked predictions of n scans. Make it with {@link predictionsOf}, which guarantees: n ≥ 1, every probability is finite and
 * not negative, every row sums to 1 within 1e-4, every label is in 0 … classes−1.
 */
export interface Predictions {
  readonly scans: number;
  readonly classes: number;
  /** Class indices, [scans]. */
  readonly labels: Int32Array;
  /** [scans × classes], one row a scan. */
  readonly probabilities: Float64Array;
  /** Index of each scan's patient, [scans], numbered 0 … patientCount−1 in order of first appearance. */
  readonly patients: Int32Array;
  readonly patientCount: number;
}

export interface PredictionsInput {
  classes: number;
  labels: ArrayLike<number>;
  /** Rows of class probabilities, or all rows one after the other. */
  probabilities: Float64Array | readonly ArrayLike<number>[];
  /** Name or number of each scan's patient; default: every scan is a patient of its own. */
  patients?: ArrayLike<string | number> | undefined;
}

const rowSumTolerance = 1e-4; // float32 softmax stays within 1e-6; rounding to four digits within 1e-4

/**
 * Checks predictions and brings them into one form.
 * @throws {EvaluationInputError} naming the first scan that breaks a rule of {@link Predictions}.
 */
export function predictionsOf(input: PredictionsInput): Predictions {
  const { classes, labels } = input;
  if (!Number.isInteger(classes) || classes < 2) {
    throw new EvaluationInputError('option', `${classes} classes cannot be evaluated: at least 2 are needed`);
  }
  const scans = labels.length;
  const probabilities = flatten(input.probabilities, scans, classes);
  if (scans === 0) throw new EvaluationInputError('no-scan', 'there is no scan to evaluate');
  for (let i = 0; i < scans; i++) {
    checkRow(probabilities.subarray(i * classes, (i + 1) * classes), i);
    checkLabel(labels[i]!, i, classes);
  }
  return {
    scans,
    classes,
    labels: Int32Array.from(labels),
    probabilities,
    ...patientsOf(input.patients, scans),
  };
}

/**
 * The same scans with other probabilities, such as those of a combination.
 * @throws {EvaluationInputError} naming the first row that breaks a rule of {@link Predictions}.
 */
export function withProbabilities(p: Predictions, probabilities: Float64Array): Predictions {
  const flat = flatten(probabilities, p.scans, p.classes);
  for (let i = 0; i < p.scans; i++) checkRow(flat.subarray(i * p.classes, (i + 1) * p.classes), i);
  return { ...p, probabilities: flat };
}

/**
 * The scans of the given indices, in that order.
 * @throws {EvaluationInputError} if `indices` is empty.
 */
export function selectScans(p: Predictions, indices: ArrayLike<number>): Predictions {
  if (indices.length === 0) throw new EvaluationInputError('no-scan', 'there is no scan to evaluate');
  const index = Array.from(indices);
  return {
    scans: index.length,
    classes: p.classes,
    labels: Int32Array.from(index, (i) => p.labels[i]!),
    probabilities: selectRows(p.probabilities, index, p.classes),
    ...patientsOf(
      index.map((i) => p.patients[i]!),
      index.length,
    ),
  };
}

/** Rows of a [scans × classes] matrix. */
export function selectRows(matrix: Float64Array, indices: readonly number[], classes: number): Float64Array {
  const rows = new Float64Array(indices.length * classes);
  indices.forEach((i, to) => rows.set(matrix.subarray(i * classes, (i + 1) * classes), to * classes));
  return rows;
}

/** @throws {EvaluationInputError} if two sets of predictions are not of the same scans (classes, labels and patients). */
export function checkSameScans(a: Predictions, b: Predictions): void {
  const equal = (x: Int32Array, y: Int32Array) => x.length === y.length && x.every((v, i) => v === y[i]);
  if (a.classes === b.classes && equal(a.labels, b.labels) && equal(a.patients, b.patients)) return;
  throw new EvaluationInputError(
    'other-scans',
    'the two sets of predictions differ in their scans, labels or patients',
    'compare predictions of the same scans in the same order',
  );
}

function flatten(rows: PredictionsInput['probabilities'], scans: number, classes: number): Float64Array {
  const differ = (count: number) =>
    new EvaluationInputError('lengths-differ', `${scans} labels, but ${count} rows of probabilities`);
  if (rows instanceof Float64Array) {
    if (rows.length !== scans * classes) throw differ(rows.length / classes);
    return rows;
  }
  if (rows.length !== scans) throw differ(rows.length);
  const flat = new Float64Array(scans * classes);
  rows.forEach((row, i) => {
    if (row.length !== classes) {
      throw new EvaluationInputError(
        'row-length',
        `scan ${i}: ${row.length} probabilities for ${classes} classes`,
      );
    }
    flat.set(row, i * classes);
  });
  return flat;
}

function checkRow(row: Float64Array, scan: number): void {
  let sum = 0;
  for (const p of row) {
    if (Number.isNaN(p)) throw new EvaluationInputError('not-a-number', `scan ${scan}: a probability is NaN`);
    if (!Number.isFinite(p))
      throw new EvaluationInputError('infinite', `scan ${scan}: a probability is ${p}`);
    if (p < 0) throw new EvaluationInputError('negative', `scan ${scan}: a probability is negative (${p})`);
    sum += p;
  }
  if (Math.abs(sum - 1) > rowSumTolerance) {
    throw new EvaluationInputError('row-sum', `scan ${scan}: the probabilities sum to ${sum}, not to 1`);
  }
}

function checkLabel(label: number, scan: number, classes: number): void {
  if (!Number.isInteger(label)) {
    throw new EvaluationInputError('label-not-an-integer', `scan ${scan}: the label ${label} is no integer`);
  }
  if (label < 0 || label >= classes) {
    throw new EvaluationInputError(
      'label-out-of-range',
      `scan ${scan}: the label ${label} is not in 0 … ${classes - 1}`,
    );
  }
}

function patientsOf(
  names: ArrayLike<string | number> | undefined,
  scans: number,
): Pick<Predictions, 'patients' | 'patientCount'> {
  if (names === undefined)
    return { patients: Int32Array.from({ length: scans }, (_, i) => i), patientCount: scans };
  if (names.length !== scans) {
    throw new EvaluationInputError('lengths-differ', `${scans} labels, but ${names.length} patients`);
  }
  const numbers = new Map<string | number, number>();
  const patients = Int32Array.from({ length: scans }, (_, i) => {
    const name = names[i]!;
    if (!numbers.has(name)) numbers.set(name, numbers.size);
    return numbers.get(name)!;
  });
  return { patients, patientCount: numbers.size };
}
