// Weights of the members that minimise the log loss of their mixture.
import type { Predictions } from '../predictions.ts';
import { leastProbability } from '../scores/probability-losses.ts';
import { checkMembers } from './mean.ts';

const { abs, log, max, sqrt } = Math; // looked up once: slow under Jest

export interface FittedWeights {
  /** Not negative, sum 1, [members]. */
  weights: number[];
  /** Log loss of the mixture on the scans of the fit. */
  logLoss: number;
  /** How far the optimality condition (Karush–Kuhn–Tucker) is missed: max over members of the mean likelihood ratio, minus 1. */
  kktExcess: number;
  /** Passes over the scans. */
  iterations: number;
}

/** Probabilities that passes look at: 2000 passes over 60 members × 5000 scans. */
const muchWork = 6e8;
const smallExcess = 1e-6;

/**
 * Expectation maximisation (Dempster et al. 1977) from uniform weights: wₘ ← wₘ · mean over scans of pₘ / Σⱼ wⱼpⱼ, with p the
 * probability of the true class clipped at 2⁻⁵², until no weight changes by 1e-13 or more. The log loss is convex in the weights, so
 * the way there does not matter; every second step is extrapolated (SQUAREM, Varadhan and Roland, Scand. J. Stat. 35, 2008), and the
 * extrapolation is dropped if it makes the log loss worse. With many scans and members that are nearly alike the last digits take
 * minutes: after {@link muchWork} the fit also ends once the log loss is within {@link smallExcess} of the least (`kktExcess` bounds the
 * distance).
 */
export function fitWeights(members: readonly Predictions[], maxIterations = 200_000): FittedWeights {
  const p = likelihoods(members);
  let weights: Float64Array = new Float64Array(members.length).fill(1 / members.length);
  let iterations = 0;
  while (iterations < maxIterations) {
    const first = step(p, weights);
    const second = step(p, first.next);
    iterations += 2;
    if (greatestChange(weights, first.next) < 1e-13) break;
    if (iterations * p.length > muchWork && max(...first.ratios) - 1 < smallExcess) break;
    const bold = extrapolated([weights, first.next, second.next]);
    const third = step(p, bold);
    iterations += 1;
    weights = third.logLoss <= second.logLoss ? third.next : second.next;
  }
  const { ratios, logLoss } = step(p, weights);
  return { weights: [...weights], logLoss, kktExcess: max(...ratios) - 1, iterations };
}

/** Probability of the true class, [scans × members]. */
function likelihoods(members: readonly Predictions[]): Float64Array {
  const { scans, classes, labels } = checkMembers(members);
  const count = members.length;
  const p = new Float64Array(scans * count);
  members.forEach(({ probabilities }, m) => {
    labels.forEach(
      (label, i) => (p[i * count + m] = max(probabilities[i * classes + label]!, leastProbability)),
    );
  });
  return p;
}

/** One step of expectation maximisation; the log loss and the mean of pₘ / mixture of the weights before it. */
function step(p: Float64Array, weights: Float64Array) {
  const count = weights.length;
  const scans = p.length / count;
  const ratios = new Float64Array(count);
  let logLoss = 0;
  for (let at = 0; at < p.length; at += count) {
    let mixed = 0;
    for (let m = 0; m < count; m++) mixed += weights[m]! * p[at + m]!;
    const inverse = 1 / mixed;
    for (let m = 0; m < count; m++) ratios[m]! += p[at + m]! * inverse;
    logLoss -= log(mixed);
  }
  for (let m = 0; m < count; m++) ratios[m]! /= scans;
  return { next: ratios.map((ratio, m) => ratio * weights[m]!), ratios, logLoss: logLoss / scans };
}

/** SQUAREM's extrapolation of three successive weights; a weight that would leave the simplex is halved instead. */
function extrapolated([w0, w1, w2]: [Float64Array, Float64Array, Float64Array]): Float64Array {
  const r = w1.map((value, m) => value - w0[m]!);
  const v = w2.map((value, m) => value - w1[m]! - r[m]!);
  const norm = (values: Float64Array) => sqrt(values.reduce((sum, value) => sum + value ** 2, 0));
  const length = norm(v) === 0 ? 1 : max(1, norm(r) / norm(v));
  const bold = w0.map((value, m) => {
    const moved = value + 2 * length * r[m]! + length ** 2 * v[m]!;
    return moved > 0 ? moved : w2[m]! / 2;
  });
  const sum = bold.reduce((total, value) => total + value, 0);
  return bold.map((value) => value / sum);
}

const greatestChange = (before: Float64Array, after: Float64Array) =>
  after.reduce((most, value, m) => max(most, abs(value - before[m]!)), 0);
