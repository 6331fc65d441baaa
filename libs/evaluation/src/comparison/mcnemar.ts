// McNemar's test of two rows' accuracies on the same scans: only scans that exactly one of the two has right count.
import { fairCdf, fairPmf } from '../numeric/binomial.ts';
import { erfc } from '../numeric/normal.ts';
import { checkSameScans, type Predictions } from '../predictions.ts';
import { predictedClasses } from '../scores/confusion.ts';

/** From this number of discordant scans on, the χ² approximation is used. */
const enoughForChiSquare = 25;

export interface McNemar {
  /** Scans that only row A has right, and that only row B has right. */
  onlyA: number;
  onlyB: number;
  /** Two-sided exact binomial p-value. */
  exactP: number;
  /** Mid-p (Fagerland et al., BMC Med. Res. Methodol. 13, 2013): exact, less conservative. */
  midP: number;
  /** χ² = (|b − c| − 1)² / (b + c) with Edwards' correction; its p-value with one degree of freedom. */
  chiSquareP: number;
  /** The p-value to report: exact below 25 discordant scans, χ² from there on. */
  p: number;
  method: 'exact' | 'chi-square';
}

/** The test from the two counts. */
export function mcnemarOf(onlyA: number, onlyB: number): McNemar {
  const discordant = onlyA + onlyB;
  const fewer = Math.min(onlyA, onlyB);
  const cdf = fairCdf(fewer, discordant);
  const exactP = discordant === 0 ? 1 : Math.min(1, 2 * cdf);
  const midP = discordant === 0 ? 1 : Math.min(1, 2 * (cdf - fairPmf(fewer, discordant) / 2));
  const excess = Math.max(0, Math.abs(onlyA - onlyB) - 1);
  const chiSquareP = discordant === 0 ? 1 : erfc(excess / Math.sqrt(2 * discordant));
  const exact = discordant < enoughForChiSquare;
  const p = exact ? exactP : chiSquareP;
  return { onlyA, onlyB, exactP, midP, chiSquareP, p, method: exact ? 'exact' : 'chi-square' };
}

/**
 * The test on the predicted classes of two rows. It takes scans as independent, also those of one patient.
 * @throws {EvaluationInputError} if the rows are not of the same scans.
 */
export function mcnemar(a: Predictions, b: Predictions): McNemar {
  checkSameScans(a, b);
  const ofA = predictedClasses(a.probabilities, a.classes);
  const ofB = predictedClasses(b.probabilities, b.classes);
  let onlyA = 0;
  let onlyB = 0;
  a.labels.forEach((label, i) => {
    if (ofA[i] === label && ofB[i] !== label) onlyA += 1;
    if (ofA[i] !== label && ofB[i] === label) onlyB += 1;
  });
  return mcnemarOf(onlyA, onlyB);
}
