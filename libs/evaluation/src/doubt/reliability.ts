// Reliability diagram: how often the most probable class is right, in bins of its probability.
import type { Predictions } from '../predictions.ts';
import { binOf, calibrationBins } from '../scores/calibration-error.ts';
import { predictedClasses } from '../scores/confusion.ts';

export interface ReliabilityBin {
  /** Bin 0 … bins−1; it holds the confidences in (index/bins, (index+1)/bins], the first one 0 too. */
  index: number;
  scans: number;
  /** Mean probability of the predicted class; null in an empty bin. */
  confidence: number | null;
  /** Share of scans whose predicted class is the true one; null in an empty bin. */
  accuracy: number | null;
}

/** The bins of the expected calibration error, [bins], empty ones included. A calibrated model has accuracy = confidence in each. */
export function reliabilityBins(p: Predictions, bins = calibrationBins): ReliabilityBin[] {
  const scans = new Array<number>(bins).fill(0);
  const confidences = new Array<number>(bins).fill(0);
  const right = new Array<number>(bins).fill(0);
  predictedClasses(p.probabilities, p.classes).forEach((k, i) => {
    const confidence = p.probabilities[i * p.classes + k]!;
    const bin = binOf(confidence, bins);
    scans[bin]! += 1;
    confidences[bin]! += confidence;
    right[bin]! += p.labels[i] === k ? 1 : 0;
  });
  return scans.map((count, index) => ({
    index,
    scans: count,
    confidence: count === 0 ? null : confidences[index]! / count,
    accuracy: count === 0 ? null : right[index]! / count,
  }));
}
