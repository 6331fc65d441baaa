// How well the probability of a class ranks its scans before the others: AUROC and AUPRC, one class against the rest. The scans are
// sorted once; a resample is a weight per scan, and both scores follow from one pass over the sorted scans.
import type { Predictions } from '../predictions.ts';

/**
 * Scans in descending order of one class's probability, packed for the pass: index·4 + 2 if the scan is of the class + 1 if
 * it is the last of its group of equal probabilities.
 */
export type Ranking = Int32Array;

/** Sorts the scans by the probability of class `k`. */
export function rankClass(p: Predictions, k: number): Ranking {
  const score = Float64Array.from({ length: p.scans }, (_, i) => p.probabilities[i * p.classes + k]!);
  return rankScores(score, (i) => p.labels[i] === k);
}

/** Sorts items by a score; `positive` says which items should come first. */
export function rankScores(score: Float64Array, positive: (index: number) => boolean): Ranking {
  const order = Int32Array.from(score, (_, i) => i).sort((a, b) => score[b]! - score[a]!);
  return order.map((index, at) => {
    const last = at + 1 === order.length || score[order[at + 1]!] !== score[index];
    return (index << 2) | (positive(index) ? 2 : 0) | (last ? 1 : 0);
  });
}

/** AUROC and AUPRC; NaN where they are undefined. */
export interface RankingScores {
  /**
   * Probability that a scan of the class has a higher probability than one of the rest, ties counted ½ (the Mann–Whitney statistic);
   * NaN if the class or its rest is missing.
   */
  auroc: number;
  /** Average precision, Σ (R_g − R_{g−1})·P_g over the distinct thresholds g, no interpolation; NaN if the class is missing. */
  auprc: number;
}

/** Both scores for scans of the given weights (how often each was drawn); writes into `into` to spare an allocation. */
export function rankingScores(ranking: Ranking, weights: Int32Array, into: RankingScores): RankingScores {
  let all = 0; // weight of the scans before and in the group
  let before = 0; // weight of the scans before the group
  let positives = 0; // weight of the class's scans before the group
  let inGroup = 0; // weight of the class's scans in the group
  let pairs = 0;
  let precision = 0;
  for (let at = 0; at < ranking.length; at++) {
    const packed = ranking[at]!;
    const weight = weights[packed >> 2]!;
    all += weight;
    inGroup += weight * ((packed >> 1) & 1);
    if ((packed & 1) === 0 || all === 0) continue;
    pairs += (all - before - inGroup) * (positives + inGroup * 0.5);
    positives += inGroup;
    precision += (inGroup * positives) / all;
    before = all;
    inGroup = 0;
  }
  into.auroc = pairs / (positives * (all - positives)); // 0/0 is NaN
  into.auprc = precision / positives;
  return into;
}

/** {@link RankingScores} of all scans but one, for each scan, [scans]. */
export interface LeaveOneOut {
  auroc: Float64Array;
  auprc: Float64Array;
}

/**
 * Both scores without each scan in turn, in O(scans): leaving out a scan removes its own pairs from the AUROC's count, and shifts
 * the counts of every later threshold of the average precision by one.
 */
export function leaveOneOutScores(ranking: Ranking): LeaveOneOut {
  const n = ranking.length;
  const auroc = new Float64Array(n);
  const auprc = new Float64Array(n);
  const groups = groupsOf(ranking);
  const positives = groups.reduce((sum, g) => sum + g.positives, 0);
  const negatives = n - positives;
  let pairs = 0;
  for (const g of groups) pairs += (g.size - g.positives) * (g.positivesUpTo - g.positives / 2);
  // Sums over the later groups of d·t/(a−1) and d·(t−1)/(a−1), and over the earlier ones of d·t/a, with d and t the class's scans
  // in and up to the group, and a all scans up to it.
  let laterNegative = 0;
  let laterPositive = 0;
  const later = groups
    .toReversed()
    .map((g) => {
      const sums = { negative: laterNegative, positive: laterPositive };
      if (g.upTo > 1) {
        laterNegative += (g.positives * g.positivesUpTo) / (g.upTo - 1);
        laterPositive += (g.positives * (g.positivesUpTo - 1)) / (g.upTo - 1);
      }
      return sums;
    })
    .toReversed();
  let earlier = 0;
  let at = 0;
  groups.forEach((g, index) => {
    const others = g.upTo - 1;
    const ownNegative = others === 0 ? 0 : (g.positives * g.positivesUpTo) / others;
    const ownPositive = others === 0 ? 0 : ((g.positives - 1) * (g.positivesUpTo - 1)) / others;
    const withoutNegative = {
      auroc: (pairs - (g.positivesUpTo - g.positives / 2)) / (positives * (negatives - 1)),
      auprc: (earlier + ownNegative + later[index]!.negative) / positives,
    };
    const negativesAfter = negatives - (g.upTo - g.positivesUpTo);
    const withoutPositive = {
      auroc: (pairs - negativesAfter - (g.size - g.positives) / 2) / ((positives - 1) * negatives),
      auprc: (earlier + ownPositive + later[index]!.positive) / (positives - 1),
    };
    for (const end = at + g.size; at < end; at++) {
      const packed = ranking[at]!;
      const without = (packed & 2) === 0 ? withoutNegative : withoutPositive;
      auroc[packed >> 2] = without.auroc;
      auprc[packed >> 2] = without.auprc;
    }
    earlier += (g.positives * g.positivesUpTo) / g.upTo;
  });
  // Without a pair or a scan of the class, rounding must not turn 0/0 into a number.
  if (negatives <= 1 || positives <= 1) clearUndefined(ranking, { auroc, auprc }, { positives, negatives });
  return { auroc, auprc };
}

function clearUndefined(
  ranking: Ranking,
  scores: LeaveOneOut,
  { positives, negatives }: { positives: number; negatives: number },
): void {
  for (const packed of ranking) {
    const p = positives - ((packed >> 1) & 1);
    const q = negatives - 1 + ((packed >> 1) & 1);
    if (p === 0 || q === 0) scores.auroc[packed >> 2] = NaN;
    if (p === 0) scores.auprc[packed >> 2] = NaN;
  }
}

/** Groups of equal probability in descending order; `…UpTo` counts the group and those before it. */
function groupsOf(ranking: Ranking) {
  const groups: { size: number; positives: number; upTo: number; positivesUpTo: number }[] = [];
  let size = 0;
  let positives = 0;
  let positivesUpTo = 0;
  ranking.forEach((packed, at) => {
    size += 1;
    positives += (packed >> 1) & 1;
    if ((packed & 1) === 0) return;
    positivesUpTo += positives;
    groups.push({ size, positives, upTo: at + 1, positivesUpTo });
    size = 0;
    positives = 0;
  });
  return groups;
}
