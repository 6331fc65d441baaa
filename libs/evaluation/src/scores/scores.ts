// All scores of one set of predictions.
import { orNull } from '../numeric/quantile.ts';
import type { Predictions } from '../predictions.ts';
import { confusionCounts, confusionMatrix, marginsOf } from './confusion.ts';
import { type ClassScoreName, classScoreNames, type ScoreName, scoreNames } from './names.ts';
import { classScoreAt, scoreCount, WeightedScores } from './weighted.ts';

/**
 * Scores of a set of scans; null where a score is undefined (never 0 instead). Scores of a class are lists in the order of the
 * classes, one class against the rest. Definitions follow scikit-learn 1.9; docs/evaluation.md explains each one.
 */
export interface Scores extends Record<ScoreName, number | null>, Record<ClassScoreName, (number | null)[]> {
  scans: number;
  patients: number;
  /** Counts of scans, rows: truth, columns: prediction. */
  confusion: number[][];
  /** Classes that no scan is of. */
  absentInTruth: number[];
  /** Classes that no scan is of and none is called; each counts as F1 = 0 in the macro F1. */
  absentInBoth: number[];
}

/** All scores of a set of predictions. */
export function scoresOf(p: Predictions): Scores {
  const values = new Float64Array(scoreCount(p.classes));
  new WeightedScores(p).evaluate(new Int32Array(p.scans).fill(1), values);
  const { truth, predicted } = marginsOf(confusionCounts(p), p.classes);
  const classes = Array.from({ length: p.classes }, (_, k) => k);
  return {
    scans: p.scans,
    patients: p.patientCount,
    confusion: confusionMatrix(p),
    ...namedScores(values, p.classes),
    absentInTruth: classes.filter((k) => truth[k] === 0),
    absentInBoth: classes.filter((k) => truth[k]! + predicted[k]! === 0),
  };
}

/** The vector of all scores with their names; NaN becomes null. */
export function namedScores(
  values: Float64Array,
  classes: number,
): Record<ScoreName, number | null> & Record<ClassScoreName, (number | null)[]> {
  const ofSet = scoreNames.map((name, at) => [name, orNull(values[at]!)]);
  const ofClass = classScoreNames.map((name, at) => [
    name,
    Array.from({ length: classes }, (_, k) => orNull(values[classScoreAt(at, k, classes)]!)),
  ]);
  return Object.fromEntries([...ofSet, ...ofClass]) as ReturnType<typeof namedScores>;
}
