// The points of the ROC curve and of the precision-recall curve of one class against the rest, one point a distinct threshold.
import type { Predictions } from '../predictions.ts';
import { rankClass } from './ranking.ts';

/** What calling every scan whose probability of the class is at least `threshold` would give. */
export interface ThresholdPoint {
  threshold: number;
  /** Recall (sensitivity), the y axis of the ROC curve and the x axis of the precision-recall curve. */
  truePositiveRate: number;
  /** 1 − specificity; NaN without a scan of the rest. */
  falsePositiveRate: number;
  precision: number;
}

/**
 * A point for each distinct probability of class `k`, the greatest first; null if no scan is of the class. The ROC curve starts at
 * (0, 0) before the first point and ends at (1, 1), the last. Σ (difference of recall) · precision is the AUPRC of `scoresOf`, and
 * the area under straight lines between the ROC points is its AUROC.
 */
export function thresholdCurve(p: Predictions, k: number): ThresholdPoint[] | null {
  const ranking = rankClass(p, k);
  const positives = ranking.reduce((sum, packed) => sum + ((packed >> 1) & 1), 0);
  const negatives = p.scans - positives;
  if (positives === 0) return null;
  const points: ThresholdPoint[] = [];
  let found = 0;
  ranking.forEach((packed, at) => {
    found += (packed >> 1) & 1;
    if ((packed & 1) === 0) return; // not the last of its group of equal probabilities
    points.push({
      threshold: p.probabilities[(packed >> 2) * p.classes + k]!,
      truePositiveRate: found / positives,
      falsePositiveRate: (at + 1 - found) / negatives,
      precision: found / (at + 1),
    });
  });
  return points;
}
