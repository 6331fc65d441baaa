// Every score in every resample, and every score without each patient in turn (the jackknife, which BCa intervals need).
import type { Predictions } from '../predictions.ts';
import { scoreCount, type Sums, WeightedScores } from '../scores/weighted.ts';
import { type Resamples, scanWeights } from './resamples.ts';

/** Values of all scores, one list a score (in the order of {@link scoreCount}); NaN where a score is undefined. */
export interface Replicates {
  /** The score of the whole set, [scores]. */
  estimate: Float64Array;
  /** [scores][resamples] */
  resampled: Float64Array[];
  /** [scores][patients]; empty lists if there is one patient only. */
  jackknife: Float64Array[];
}

const known = new WeakMap<Predictions, WeakMap<Resamples, Replicates>>();

/**
 * Evaluates all scores in every resample and without each patient. The result is kept as long as the predictions and the resamples: a row's
 * interval and its comparison with other rows need the same values.
 */
export function replicatesOf(p: Predictions, resamples: Resamples): Replicates {
  const ofRow = known.get(p) ?? new WeakMap<Resamples, Replicates>();
  known.set(p, ofRow);
  const replicates = ofRow.get(resamples) ?? evaluated(p, resamples);
  ofRow.set(resamples, replicates);
  return replicates;
}

function evaluated(p: Predictions, resamples: Resamples): Replicates {
  const scores = new WeightedScores(p);
  const count = scoreCount(p.classes);
  const values = new Float64Array(count);
  const weights = new Int32Array(p.scans).fill(1);
  scores.evaluate(weights, values);
  const estimate = values.slice();
  const resampled = Array.from({ length: count }, () => new Float64Array(resamples.count));
  for (let b = 0; b < resamples.count; b++) {
    scanWeights(resamples, b, { patients: p.patients, into: weights });
    scores.evaluate(weights, values);
    for (let at = 0; at < count; at++) resampled[at]![b] = values[at]!;
  }
  return { estimate, resampled, jackknife: jackknifeOf(p, scores) };
}

/** All scores without each patient in turn, [scores][patients]. */
function jackknifeOf(p: Predictions, scores: WeightedScores): Float64Array[] {
  const count = scoreCount(p.classes);
  const patients = p.patientCount;
  if (patients < 2) return Array.from({ length: count }, () => new Float64Array(0));
  const out = Array.from({ length: count }, () => new Float64Array(patients));
  const values = new Float64Array(count);
  const weights = new Int32Array(p.scans).fill(1);
  const all = scores.emptySums();
  scores.add(weights, all);
  const some = scores.emptySums();
  const rankings = { auroc: new Float64Array(p.classes), auprc: new Float64Array(p.classes) };
  const withoutEach = scores.rankWithoutEach();
  scansByPatient(p).forEach((scans, patient) => {
    copySums(all, some);
    for (const i of scans) scores.addScan(i, -1, some);
    if (scans.length === 1) {
      withoutEach.forEach((without, k) => {
        rankings.auroc[k] = without.auroc[scans[0]!]!;
        rankings.auprc[k] = without.auprc[scans[0]!]!;
      });
    } else {
      for (const i of scans) weights[i] = 0;
      scores.rank(weights, rankings);
      for (const i of scans) weights[i] = 1;
    }
    scores.finish({ sums: some, rankings }, values);
    for (let at = 0; at < count; at++) out[at]![patient] = values[at]!;
  });
  return out;
}

/** Indices of each patient's scans. */
export function scansByPatient(p: Predictions): number[][] {
  const scans = Array.from({ length: p.patientCount }, (): number[] => []);
  p.patients.forEach((patient, i) => scans[patient]!.push(i));
  return scans;
}

function copySums(from: Sums, to: Sums): void {
  to.counts.set(from.counts);
  to.binWeights.set(from.binWeights);
  to.binConfidences.set(from.binConfidences);
  to.losses.set(from.losses);
}
