// All scores of a set of scans in which each scan counts as often as its weight says: what the bootstrap evaluates thousands of times.
// Everything that does not depend on the weights (ranks, losses, bins) is computed once; a resample is one pass for the sums and one
// pass a class for AUROC and AUPRC.
import { meanOfDefined } from '../numeric/quantile.ts';
import type { Predictions } from '../predictions.ts';
import { kappaOf, mccOf, quadraticKappaOf } from './agreement.ts';
import { binOf, calibrationBins, calibrationErrorOf } from './calibration-error.ts';
import {
  accuracyOf,
  balancedAccuracyOf,
  emptyMargins,
  f1Of,
  type Margins,
  marginsOf,
  precisionOf,
  predictedClasses,
  recallOf,
  specificityOf,
} from './confusion.ts';
import { classScoreNames, scoreNames } from './names.ts';
import { brierScores, logLosses } from './probability-losses.ts';
import { leaveOneOutScores, rankClass, type Ranking, type RankingScores, rankingScores } from './ranking.ts';

/** Sums over scans from which all scores but AUROC and AUPRC follow. Sums of two sets of scans can be added. */
export interface Sums {
  /** [classes × classes] */
  counts: Float64Array;
  /** [2 × bins], see {@link calibrationErrorOf}. */
  binWeights: Float64Array;
  binConfidences: Float64Array;
  /** Log loss, Brier score. */
  losses: Float64Array;
}

/** AUROC and AUPRC of each class, [classes], NaN where undefined. */
export interface ClassRankings {
  auroc: Float64Array;
  auprc: Float64Array;
}

/** Position of a class's score in the vector of all scores. */
export const classScoreAt = (score: number, k: number, classes: number): number =>
  scoreNames.length + score * classes + k;

/** How many scores the vector holds: {@link scoreNames}, then each of {@link classScoreNames} for every class. */
export const scoreCount = (classes: number): number => scoreNames.length + classScoreNames.length * classes;

/** Evaluates all scores of one set of predictions under weights. Undefined scores are NaN. */
export class WeightedScores {
  readonly #p: Predictions;
  readonly #cell: Int32Array;
  readonly #bin: Int32Array;
  readonly #confidence: Float64Array;
  readonly #logLoss: Float64Array;
  readonly #brier: Float64Array;
  readonly #runs: Runs;
  readonly #present: boolean[];
  readonly #margins: Margins;
  readonly #pair: RankingScores = { auroc: NaN, auprc: NaN };
  readonly #sums: Sums;
  readonly #rankings: ClassRankings;
  #ranks: Ranking[] | undefined;

  constructor(p: Predictions) {
    const { classes, labels, probabilities } = p;
    const predicted = predictedClasses(probabilities, classes);
    this.#p = p;
    this.#cell = labels.map((label, i) => label * classes + predicted[i]!);
    this.#confidence = Float64Array.from(predicted, (k, i) => probabilities[i * classes + k]!);
    this.#bin = labels.map(
      (label, i) => 2 * binOf(this.#confidence[i]!, calibrationBins) + (label === predicted[i] ? 1 : 0),
    );
    this.#logLoss = logLosses(p);
    this.#brier = brierScores(p);
    this.#runs = runsOf(
      Int32Array.from(this.#cell, (cell, i) => cell * 2 * calibrationBins + this.#bin[i]!),
      {
        confidence: this.#confidence,
        logLoss: this.#logLoss,
        brier: this.#brier,
      },
    );
    this.#present = Array.from({ length: classes }, (_, k) => labels.includes(k) || predicted.includes(k));
    this.#margins = emptyMargins(classes);
    this.#sums = this.emptySums();
    this.#rankings = {
      auroc: new Float64Array(classes).fill(NaN),
      auprc: new Float64Array(classes).fill(NaN),
    };
  }

  /**
   * Writes all scores into `out`, [{@link scoreCount}]. A class that occurs (in truth or prediction) in the whole set, but in
   * neither under these weights, is left out of the macro F1; a class absent from the whole set counts 0.
   * @param weights how often each scan counts, [scans]
   */
  evaluate(weights: Int32Array, out: Float64Array): void {
    this.clear(this.#sums);
    this.add(weights, this.#sums);
    this.rank(weights, this.#rankings);
    this.finish({ sums: this.#sums, rankings: this.#rankings }, out);
  }

  /** Index of each scan's cell in the flat confusion matrix, [scans]. */
  get cells(): Int32Array {
    return this.#cell;
  }

  emptySums(): Sums {
    return {
      counts: new Float64Array(this.#p.classes ** 2),
      binWeights: new Float64Array(2 * calibrationBins),
      binConfidences: new Float64Array(2 * calibrationBins),
      losses: new Float64Array(2),
    };
  }

  clear(sums: Sums): void {
    for (const part of [sums.counts, sums.binWeights, sums.binConfidences, sums.losses]) part.fill(0);
  }

  /** Adds the scans, each as often as its weight says, to `sums`. */
  add(weights: Int32Array, sums: Sums): void {
    const { order, ends, confidence, logLoss, brier } = this.#runs;
    let logLossSum = 0;
    let brierSum = 0;
    let at = 0;
    for (let run = 0; run < ends.length; run++) {
      const first = order[at]!;
      let weightSum = 0;
      let confidenceSum = 0;
      for (const end = ends[run]!; at < end; at++) {
        const weight = weights[order[at]!]!;
        weightSum += weight;
        confidenceSum += weight * confidence[at]!;
        logLossSum += weight * logLoss[at]!;
        brierSum += weight * brier[at]!;
      }
      sums.counts[this.#cell[first]!]! += weightSum;
      sums.binWeights[this.#bin[first]!]! += weightSum;
      sums.binConfidences[this.#bin[first]!]! += confidenceSum;
    }
    sums.losses[0]! += logLossSum;
    sums.losses[1]! += brierSum;
  }

  /** Adds scan `i` with a weight (−1 removes it) to `sums`. */
  addScan(i: number, weight: number, sums: Sums): void {
    const bin = this.#bin[i]!;
    sums.counts[this.#cell[i]!]! += weight;
    sums.binWeights[bin]! += weight;
    sums.binConfidences[bin]! += weight * this.#confidence[i]!;
    sums.losses[0]! += weight * this.#logLoss[i]!;
    sums.losses[1]! += weight * this.#brier[i]!;
  }

  /** AUROC and AUPRC of each class under weights. */
  rank(weights: Int32Array, into: ClassRankings): void {
    this.#classRanks().forEach((ranking, k) => {
      rankingScores(ranking, weights, this.#pair);
      into.auroc[k] = this.#pair.auroc;
      into.auprc[k] = this.#pair.auprc;
    });
  }

  /** AUROC and AUPRC of each class without each scan in turn, one entry a class. */
  rankWithoutEach() {
    return this.#classRanks().map(leaveOneOutScores);
  }

  /** All scores from the sums and rankings. `absentCountsZero`: see {@link evaluate}; true counts every absent class 0. */
  finish(
    { sums, rankings }: { sums: Sums; rankings: ClassRankings },
    out: Float64Array,
    absentCountsZero = false,
  ): void {
    const { auroc, auprc } = rankings;
    const { classes } = this.#p;
    const m = marginsOf(sums.counts, classes, this.#margins);
    let f1Sum = 0;
    let f1Count = 0;
    for (let k = 0; k < classes; k++) {
      const absent = m.truth[k]! + m.predicted[k]! === 0;
      const leftOut = absent && this.#present[k]! && !absentCountsZero;
      const f1 = f1Of(m, k);
      if (!leftOut) {
        f1Sum += f1;
        f1Count += 1;
      }
      out[classScoreAt(0, k, classes)] = leftOut ? NaN : f1;
      out[classScoreAt(1, k, classes)] = precisionOf(m, k);
      out[classScoreAt(2, k, classes)] = recallOf(m, k);
      out[classScoreAt(3, k, classes)] = specificityOf(m, k);
      out[classScoreAt(4, k, classes)] = auroc[k]!;
      out[classScoreAt(5, k, classes)] = auprc[k]!;
    }
    out[0] = f1Sum / f1Count;
    out[1] = balancedAccuracyOf(m);
    out[2] = accuracyOf(m);
    out[3] = meanOfDefined(auroc);
    out[4] = meanOfDefined(auprc);
    out[5] = sums.losses[0]! / m.total;
    out[6] = sums.losses[1]! / m.total;
    out[7] = calibrationErrorOf(sums.binWeights, sums.binConfidences, m.total);
    out[8] = mccOf(m);
    out[9] = kappaOf(m);
    out[10] = quadraticKappaOf(sums.counts, m);
  }

  #classRanks(): Ranking[] {
    return (this.#ranks ??= Array.from({ length: this.#p.classes }, (_, k) => rankClass(this.#p, k)));
  }
}

/** Values of each scan, [scans]. */
interface PerScan {
  confidence: Float64Array;
  logLoss: Float64Array;
  brier: Float64Array;
}

/**
 * The scans in runs of equal cell of the confusion matrix and equal bin, so that a run's sums stay in registers. `order` lists the scans,
 * `ends` where each run ends in it; the values are in that order.
 */
interface Runs extends PerScan {
  order: Int32Array;
  ends: Int32Array;
}

function runsOf(group: Int32Array, values: PerScan): Runs {
  const order = Int32Array.from(group, (_, i) => i).sort((a, b) => group[a]! - group[b]!);
  const ends = Array.from(order, (_, at) => at + 1).filter(
    (end) => group[order[end - 1]!] !== group[order[end]!],
  );
  const sorted = (of: Float64Array) => Float64Array.from(order, (i) => of[i]!);
  return {
    order,
    ends: Int32Array.from(ends),
    confidence: sorted(values.confidence),
    logLoss: sorted(values.logLoss),
    brier: sorted(values.brier),
  };
}
