// Bootstrap resamples of patients. A drawn patient brings all of their scans, as often as they are drawn: scans of one patient are
// alike, and resampling scans would make the intervals too narrow.
import { randomStream } from '@ct-ensemble/core';
import { EvaluationInputError } from '../predictions.ts';

/** Resamples as counts: how often each patient was drawn. */
export interface Resamples {
  readonly count: number;
  readonly patients: number;
  /** [count × patients] */
  readonly weights: Uint16Array | Uint32Array;
}

/** Default number of resamples. */
export const defaultResamples = 2000;

export interface ResamplesKey {
  patients: number;
  /** Number of resamples; default 2000. */
  count?: number;
  seed: number;
  /** What the resamples are for; equal purposes share them. Default `evaluation/bootstrap`. */
  purpose?: string;
}

/**
 * Draws as many patients as there are, with replacement, `count` times. Resample b depends on (seed, purpose, b) and on the number of patients only.
 */
export function drawResamples({
  patients,
  count = defaultResamples,
  seed,
  purpose,
}: ResamplesKey): Resamples {
  checkCount(count);
  const weights = emptyWeights(count, patients);
  for (let b = 0; b < count; b++) {
    const random = randomStream({ seed, purpose: purpose ?? 'evaluation/bootstrap', sample: b });
    for (let drawn = 0; drawn < patients; drawn++) weights[b * patients + random.integer(patients)]! += 1;
  }
  return { count, patients, weights };
}

/**
 * Given resamples, each a list of drawn patients (indices 0 … patients−1).
 * @throws {EvaluationInputError} if there is no resample or a patient is out of range.
 */
export function resamplesFrom(draws: readonly ArrayLike<number>[], patients: number): Resamples {
  checkCount(draws.length);
  const weights = emptyWeights(draws.length, patients);
  draws.forEach((row, b) => {
    for (const patient of Array.from(row)) {
      if (!Number.isInteger(patient) || patient < 0 || patient >= patients) {
        throw new EvaluationInputError(
          'option',
          `resample ${b}: there is no patient ${patient} among ${patients}`,
        );
      }
      weights[b * patients + patient]! += 1;
    }
  });
  return { count: draws.length, patients, weights };
}

/** Writes how often each scan counts in resample `b` into `into`, [scans]. */
export function scanWeights(
  resamples: Resamples,
  b: number,
  { patients, into }: { patients: Int32Array; into: Int32Array },
): void {
  const start = b * resamples.patients;
  const { weights } = resamples;
  if (patients.length === resamples.patients)
    into.set(weights.subarray(start, start + patients.length)); // scan = patient
  else for (let i = 0; i < patients.length; i++) into[i] = weights[start + patients[i]!]!;
}

const emptyWeights = (count: number, patients: number) =>
  patients <= 0xffff ? new Uint16Array(count * patients) : new Uint32Array(count * patients);

function checkCount(count: number): void {
  if (Number.isInteger(count) && count >= 1) return;
  throw new EvaluationInputError(
    'option',
    `${count} resamples cannot be drawn`,
    'give a whole number of at least 1',
  );
}
