// Sign-swap permutation test of two rows: if they were equally good, swapping their answers for any patient would change nothing.
import { randomStream } from '@ct-ensemble/core';
import { checkSameScans, EvaluationInputError, type Predictions } from '../predictions.ts';
import { defaultResamples } from '../intervals/resamples.ts';
import { losses, type ScoreName, scoreNames } from '../scores/names.ts';
import { scoreCount, type Sums, WeightedScores } from '../scores/weighted.ts';

/** Scores that the test covers: those which add up over scans. AUROC is compared by {@link delong}. */
export type SwappableScore = Exclude<ScoreName, 'macroAuroc' | 'macroAuprc'>;

export interface SwapOptions {
  /** Default `macroF1`. */
  score?: SwappableScore;
  seed?: number;
  /** Number of permutations, default 2000; or the permutations themselves, [permutations][patients], 1: swapped. */
  swaps?: number | readonly ArrayLike<number>[];
}

export interface SwapTest {
  /** Score of row A − score of row B; null if undefined. */
  difference: number | null;
  /** Two-sided: (1 + permutations whose |difference| is at least the observed one) / (permutations + 1). */
  p: number | null;
  /** The difference in each permutation, [permutations]. */
  permuted: Float64Array;
}

/**
 * The test over patients: all scans of a patient are swapped together. A class absent from truth and prediction counts 0 in macro F1.
 * @throws {EvaluationInputError} if the rows are not of the same scans, or the swaps are of another number of patients.
 */
export function swapTest(a: Predictions, b: Predictions, options: SwapOptions = {}): SwapTest {
  checkSameScans(a, b);
  const swaps = options.swaps ?? defaultResamples;
  const count = typeof swaps === 'number' ? swaps : swaps.length;
  const at = scoreNames.indexOf(options.score ?? 'macroF1');
  const [ofA, ofB] = [new WeightedScores(a), new WeightedScores(b)];
  const nothing = new Float64Array(a.classes).fill(NaN);
  const rankings = { auroc: nothing, auprc: nothing };
  const values = new Float64Array(scoreCount(a.classes));
  const [sumsA, sumsB] = [ofA.emptySums(), ofA.emptySums()];
  const scoreOf = (sums: Sums) => {
    ofA.finish({ sums, rankings }, values, true);
    return values[at]!;
  };
  const addAll = (first: Int32Array, second: Int32Array) => {
    for (const [sums, own, other] of [
      [sumsA, first, second],
      [sumsB, second, first],
    ] as const) {
      ofA.clear(sums);
      ofA.add(own, sums);
      ofB.add(other, sums);
    }
  };
  const [kept, swapped] = [new Int32Array(a.scans).fill(1), new Int32Array(a.scans)];
  addAll(kept, swapped);
  const observed = scoreOf(sumsA) - scoreOf(sumsB);
  const gapByWeights = (row: ArrayLike<number>) => {
    a.patients.forEach((patient, i) => {
      swapped[i] = row[patient]!;
      kept[i] = 1 - row[patient]!;
    });
    addAll(kept, swapped);
    return scoreOf(sumsA) - scoreOf(sumsB);
  };
  // Scores of answers change by the scans that the rows answer differently only.
  const differing = Int32Array.from(ofA.cells.keys()).filter((i) => ofA.cells[i] !== ofB.cells[i]);
  const [countsA, countsB] = [sumsA.counts.slice(), sumsB.counts.slice()];
  const gapByCounts = (row: ArrayLike<number>) => {
    sumsA.counts.set(countsA);
    sumsB.counts.set(countsB);
    for (const i of differing) {
      if (row[a.patients[i]!] !== 1) continue;
      const [cellA, cellB] = [ofA.cells[i]!, ofB.cells[i]!];
      sumsA.counts[cellA]! -= 1;
      sumsA.counts[cellB]! += 1;
      sumsB.counts[cellB]! -= 1;
      sumsB.counts[cellA]! += 1;
    }
    return scoreOf(sumsA) - scoreOf(sumsB);
  };
  const gap = (losses as readonly string[]).includes(scoreNames[at]!) ? gapByWeights : gapByCounts;
  const permuted = new Float64Array(count);
  for (let s = 0; s < count; s++) {
    const row = typeof swaps === 'number' ? drawSwaps(a.patientCount, options.seed ?? 0, s) : swaps[s]!;
    if (row.length !== a.patientCount) {
      throw new EvaluationInputError(
        'option',
        `permutation ${s}: ${row.length} swaps for ${a.patientCount} patients`,
      );
    }
    permuted[s] = gap(row);
  }
  if (Number.isNaN(observed)) return { difference: null, p: null, permuted };
  const asFar = permuted.reduce(
    (sum, value) => sum + (Math.abs(value) >= Math.abs(observed) - 1e-12 ? 1 : 0),
    0,
  );
  return { difference: observed, p: (1 + asFar) / (count + 1), permuted };
}

/** Which patients permutation `sample` swaps, [patients], 1: swapped. */
export function drawSwaps(patients: number, seed: number, sample: number): Uint8Array {
  const random = randomStream({ seed, purpose: 'evaluation/swap', sample });
  return Uint8Array.from({ length: patients }, () => random.integer(2));
}
