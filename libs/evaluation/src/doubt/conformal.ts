// Conformal prediction sets: instead of one class, the set of classes that cannot be excluded, with a guaranteed share of sets that
// hold the true class (Vovk et al. 2005; Angelopoulos and Bates 2023).
import { betaQuantile } from '../numeric/binomial.ts';
import { EvaluationInputError, type Predictions } from '../predictions.ts';

/**
 * Scores of how unlikely a class is for a scan. `lac`: 1 − its probability (Sadinle et al. 2019), the smallest sets. `aps`: the
 * probabilities of the class and of all more probable ones (Romano et al. 2020), sets that adapt to the scan and are never empty.
 * `raps`: aps plus a penalty for each class beyond the first `kReg` (Angelopoulos et al. 2021).
 */
export type ConformalMethod = 'lac' | 'aps' | 'raps';

export interface ConformalOptions {
  /** Share of sets that may miss the true class, e.g. 0.1. */
  alpha: number;
  /** Default `lac`. */
  method?: ConformalMethod;
  /** A threshold for each class, so that the guarantee holds within each true class. Default false. */
  perClass?: boolean;
  /** Penalty of `raps` a class, default 0.05, for classes beyond the first `kReg`, default 1. */
  lambda?: number;
  kReg?: number;
}

export interface ConformalRule {
  classes: number;
  alpha: number;
  method: ConformalMethod;
  lambda: number;
  kReg: number;
  /** Greatest score that stays in the set, one for each class; null (infinite) if there are too few calibration scans. */
  thresholds: (number | null)[];
  /** Scores of the calibration scans' true classes, [scans]. */
  scores: Float64Array;
  /** The threshold is the rank-th smallest of the scores: ⌈(n + 1)(1 − α)⌉; with `perClass`, one rank a class. */
  ranks: number[];
  /**
   * 5 % and 95 % quantile of the coverage that calibration sets of this size give: Beta(rank, n + 1 − rank); null if the threshold
   * is infinite, or if there is a threshold for each class.
   */
  coverageRange: [number, number] | null;
  /** The guarantee in one sentence. */
  guarantee: string;
}

const tolerance = 1e-12; // of sums of probabilities

/**
 * Thresholds from calibration scans that no member was trained on and nothing was chosen on (out-of-fold predictions, say).
 * @throws {EvaluationInputError} if alpha is not between 0 and 1.
 */
export function calibrateConformal(p: Predictions, options: ConformalOptions): ConformalRule {
  const { alpha, method = 'lac', perClass = false, lambda = 0.05, kReg = 1 } = options;
  if (!(alpha > 0 && alpha < 1)) {
    throw new EvaluationInputError(
      'option',
      `alpha ${alpha} is not between 0 and 1`,
      'give 0.1 for sets that hold 90 %',
    );
  }
  const all = classScores(p.probabilities, { classes: p.classes, method, lambda, kReg });
  const scores = Float64Array.from(p.labels, (label, i) => all[i * p.classes + label]!);
  const ofClass = (k: number) => scores.filter((_, i) => !perClass || p.labels[i] === k);
  const groups = Array.from({ length: p.classes }, (_, k) => ofClass(k));
  const ranks = groups.map(({ length }) => rankOf(length, alpha));
  const thresholds = groups.map((group, k) =>
    ranks[k]! > group.length ? null : group.sort()[ranks[k]! - 1]!,
  );
  const known = !perClass && thresholds[0] !== null;
  const coverage = (q: number) => betaQuantile(q, ranks[0]!, p.scans + 1 - ranks[0]!);
  return {
    classes: p.classes,
    alpha,
    method,
    lambda,
    kReg,
    thresholds,
    scores,
    ranks,
    coverageRange: known ? [coverage(0.05), coverage(0.95)] : null,
    guarantee: guaranteeOf(p, alpha, perClass),
  };
}

/**
 * The set of each scan, ascending class indices. Sets of `aps` and `raps` hold at least the most probable class; one of `lac` may be empty.
 * @param probabilities [scans × classes]
 */
export function conformalSets(rule: ConformalRule, probabilities: Float64Array): number[][] {
  const { classes, thresholds, method } = rule;
  const scores = classScores(probabilities, rule);
  const isFirst = method === 'lac' ? () => false : firstOf(probabilities, classes);
  return Array.from({ length: probabilities.length / classes }, (_, i) =>
    thresholds.flatMap((threshold, k) =>
      threshold === null || scores[i * classes + k]! <= threshold + tolerance || isFirst(i, k) ? [k] : [],
    ),
  );
}

/** What to do with a set: one class is answered, several or none go to a reader (null). */
export const answerOf = (set: readonly number[]): number | null => (set.length === 1 ? set[0]! : null);

/** ⌈(n + 1)(1 − α)⌉, safe against the rounding of 1 − α. */
const rankOf = (n: number, alpha: number) => Math.ceil((n + 1) * (1 - alpha) - 1e-9);

type ScoreOptions = Required<Pick<ConformalOptions, 'method' | 'lambda' | 'kReg'>> & { classes: number };

/** The score of every class of every scan, [scans × classes]. */
function classScores(
  probabilities: Float64Array,
  { classes, method, lambda, kReg }: ScoreOptions,
): Float64Array {
  if (method === 'lac') return probabilities.map((p) => 1 - p);
  const scores = new Float64Array(probabilities.length);
  for (let start = 0; start < probabilities.length; start += classes) {
    let sum = 0;
    descending(probabilities, start, classes).forEach((k, rank) => {
      sum += probabilities[start + k]!;
      scores[start + k] = sum + (method === 'raps' ? lambda * Math.max(0, rank + 1 - kReg) : 0);
    });
  }
  return scores;
}

/** Classes in descending order of probability; equal ones by index. */
function descending(probabilities: Float64Array, start: number, classes: number): number[] {
  const order = Array.from({ length: classes }, (_, k) => k);
  return order.sort((a, b) => probabilities[start + b]! - probabilities[start + a]! || a - b);
}

function firstOf(probabilities: Float64Array, classes: number) {
  return (i: number, k: number) => descending(probabilities, i * classes, classes)[0] === k;
}

function guaranteeOf(p: Predictions, alpha: number, perClass: boolean): string {
  const scans = `${p.scans} calibration ${p.scans === 1 ? 'scan' : 'scans'}`;
  const share = `${Number(((1 - alpha) * 100).toFixed(1))} %`;
  const whom = perClass ? 'of each true class ' : '';
  const several =
    p.patientCount < p.scans ? ' (which is not quite so here, as some patients have several scans)' : '';
  return `If new scans are drawn like the ${scans}, independently of each other${several}, the sets hold the true class of at least ${share} of them ${whom}on average over calibration sets.`;
}
