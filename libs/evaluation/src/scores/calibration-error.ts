// Expected calibration error of the most probable class (Guo et al., ICML 2017): do scans called with 80 % turn out right in 80 %?

const { abs, ceil, max, min } = Math; // looked up once: slow under Jest

/** Number of bins of the expected calibration error. */
export const calibrationBins = 15;

/** Bin of a confidence: bin b holds (b/bins, (b+1)/bins], the first one 0 too; the edges are the float64 quotients. */
export function binOf(confidence: number, bins: number): number {
  let bin = min(bins - 1, max(0, ceil(confidence * bins) - 1)); // may be one off by rounding
  while (bin > 0 && confidence <= bin / bins) bin -= 1;
  while (bin < bins - 1 && confidence > (bin + 1) / bins) bin += 1;
  return bin;
}

/**
 * Σ over bins of (share of scans) · |share right − mean confidence|. `weights` and `confidences` are sums over the scans of a bin,
 * [2 × bins]: entry 2·b for the wrong ones, 2·b + 1 for the right ones. `total` is the weight of all scans.
 */
export function calibrationErrorOf(weights: Float64Array, confidences: Float64Array, total: number): number {
  let sum = 0;
  for (let at = 0; at < weights.length; at += 2) {
    sum += abs(weights[at + 1]! - confidences[at]! - confidences[at + 1]!);
  }
  return sum / total;
}
