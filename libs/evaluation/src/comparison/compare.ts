// Comparison of rows of predictions of the same scans (members, ensembles, steps of a study): every test of every pair.
import { checkSameScans, EvaluationInputError, type Predictions } from '../predictions.ts';
import { replicatesOf } from '../intervals/replicates.ts';
import {
  levelOf,
  resamplesOf,
  type ResamplingOptions,
  roughClassesOf,
} from '../intervals/score-intervals.ts';
import type { ScoreName } from '../scores/names.ts';
import { type DeLong, delong } from './delong.ts';
import { holm } from './holm.ts';
import { mcnemar, type McNemar } from './mcnemar.ts';
import { differencesOf, type PairedDifference } from './paired-bootstrap.ts';
import { drawSwaps, type SwappableScore, swapTest } from './swap-test.ts';
import { describeDifference } from './wording.ts';

export interface Row {
  name: string;
  predictions: Predictions;
}

export interface CompareOptions extends ResamplingOptions {
  /** The score that decides, default `macroF1`. */
  score?: SwappableScore;
  /** Index of a row: only the pairs that it is in are compared, and the correction is for these. Default: every pair. */
  against?: number;
}

export interface Comparison {
  a: string;
  b: string;
  score: SwappableScore;
  /** Nominal coverage of the intervals; 1 − level is the level of the test. */
  level: number;
  patients: number;
  /** True if a class has fewer than ten scans. */
  rough: boolean;
  /** Differences of all scores, A − B. */
  differences: Record<ScoreName, PairedDifference>;
  /** p-value of the sign-swap permutation test of `score`; null if the score is undefined. */
  swapP: number | null;
  /** `swapP` after Holm's correction over all pairs; `correction` says whether there was one to make. */
  adjustedP: number | null;
  correction: 'Holm' | 'none';
  /** Number of pairs that were compared. */
  pairs: number;
  mcnemar: McNemar;
  /** AUROC of each class against the rest; null where a class or its rest is missing. */
  delong: (DeLong | null)[];
  /** True if patients have several scans: DeLong and McNemar take scans as independent and are then too sure. */
  scansSharePatients: boolean;
  /** True if the corrected p-value is below 1 − level. */
  distinguishable: boolean;
  /** What the data can and cannot say, in one to three sentences. */
  words: string;
}

/**
 * Compares every pair of rows, (first, second), (first, third), …, with the same resamples for all; with `against` each other row
 * as A with this one as B.
 * @throws {EvaluationInputError} if there are fewer than two rows, rows are not of the same scans, or `against` is the index of no row.
 */
export function compareRows(rows: readonly Row[], options: CompareOptions = {}): Comparison[] {
  if (rows.length < 2)
    throw new EvaluationInputError('option', 'at least two rows are needed for a comparison');
  const first = rows[0]!.predictions;
  for (const row of rows) checkSameScans(first, row.predictions);
  const resamples = resamplesOf(first, options);
  const level = levelOf(options);
  const score = options.score ?? 'macroF1';
  const replicates = rows.map((row) => replicatesOf(row.predictions, resamples));
  const { against } = options;
  if (against !== undefined && rows[against] === undefined)
    throw new EvaluationInputError('option', `there is no row ${against} to compare the others with`);
  const pairs = rows.flatMap((_, i): [number, number][] => {
    if (against !== undefined) return i === against ? [] : [[i, against]];
    return rows.slice(i + 1).map((__, j) => [i, i + 1 + j]);
  });
  const swaps = Array.from({ length: resamples.count }, (_, s) =>
    drawSwaps(first.patientCount, options.seed ?? 0, s),
  );
  const swapPs = pairs.map(
    ([i, j]) => swapTest(rows[i]!.predictions, rows[j]!.predictions, { score, swaps }).p,
  );
  const adjusted = holm(swapPs.map((p) => p ?? 1));
  return pairs.map(([i, j], at) => {
    const [a, b] = [rows[i]!, rows[j]!];
    const adjustedP = swapPs[at] === null ? null : adjusted[at]!;
    const comparison = {
      a: a.name,
      b: b.name,
      score,
      level,
      patients: first.patientCount,
      rough: roughClassesOf(first).length > 0,
      differences: differencesOf(replicates[i]!, replicates[j]!, level),
      swapP: swapPs[at]!,
      adjustedP,
      correction: pairs.length > 1 ? ('Holm' as const) : ('none' as const),
      pairs: pairs.length,
      mcnemar: mcnemar(a.predictions, b.predictions),
      delong: classDeLong(a.predictions, b.predictions),
      scansSharePatients: first.patientCount < first.scans,
      distinguishable: adjustedP !== null && adjustedP < 1 - level,
    };
    return { ...comparison, words: describeDifference(comparison) };
  });
}

/** DeLong's test of each class against the rest. */
function classDeLong(a: Predictions, b: Predictions): (DeLong | null)[] {
  const column = (p: Predictions, k: number) =>
    Float64Array.from({ length: p.scans }, (_, i) => p.probabilities[i * p.classes + k]!);
  return Array.from({ length: a.classes }, (_, k) =>
    delong(
      Array.from(a.labels, (label) => label === k),
      column(a, k),
      column(b, k),
    ),
  );
}
