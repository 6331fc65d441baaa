// Risk against coverage: the share of errors if only the most confident scans are answered and the others go to a reader
// (Geifman and El-Yaniv, NeurIPS 2017).
import type { Predictions } from '../predictions.ts';
import { predictedClasses } from '../scores/confusion.ts';

export interface RiskCoverage {
  /**
   * Share of errors among the i + 1 most confident scans, [scans]; the coverage of entry i is (i + 1)/scans. Scans of equal confidence
   * share their errors evenly.
   */
  risk: Float64Array;
  /** Area under the curve: the mean of `risk`; less is better. */
  aurc: number;
  /** AURC minus that of the best order, in which every error comes last. */
  excessAurc: number;
}

/** The curve of the most probable class; `confidence` (default its probability) orders the scans, the greatest first. */
export function riskCoverage(p: Predictions, confidence?: ArrayLike<number>): RiskCoverage {
  const predicted = predictedClasses(p.probabilities, p.classes);
  const certain = Float64Array.from(
    predicted,
    (k, i) => confidence?.[i] ?? p.probabilities[i * p.classes + k]!,
  );
  const order = Int32Array.from(certain, (_, i) => i).sort((a, b) => certain[b]! - certain[a]!);
  const wrong = Float64Array.from(order, (i) => (predicted[i] === p.labels[i] ? 0 : 1));
  const errors = wrong.reduce((sum, error) => sum + error, 0);
  for (let start = 0; start < order.length;) {
    let end = start;
    let inTie = 0;
    while (end < order.length && certain[order[end]!] === certain[order[start]!]) inTie += wrong[end++]!;
    wrong.fill(inTie / (end - start), start, end);
    start = end;
  }
  let sum = 0;
  const risk = wrong.map((error, i) => (sum += error) / (i + 1));
  const mean = (values: Float64Array) => values.reduce((total, value) => total + value, 0) / values.length;
  const best = risk.map((_, i) => Math.max(0, i + 1 - (p.scans - errors)) / (i + 1));
  const aurc = mean(risk);
  return { risk, aurc, excessAurc: aurc - mean(best) };
}
