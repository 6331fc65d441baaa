// Confidence intervals of all scores of one set of predictions.
import { EvaluationInputError, type Predictions } from '../predictions.ts';
import { type ClassScoreName, classScoreNames, type ScoreName, scoreNames } from '../scores/names.ts';
import { classScoreAt } from '../scores/weighted.ts';
import { type Interval, intervalOf } from './bca.ts';
import { replicatesOf } from './replicates.ts';
import { drawResamples, type Resamples } from './resamples.ts';

/** A class with fewer scans makes intervals rough. */
export const scansForAnInterval = 10;

/** How resamples are made: from a seed, or given. */
export interface ResamplingOptions {
  /** Seed of the resamples. Equal seeds and numbers of patients give equal resamples. */
  seed?: number;
  /** Number of resamples, default 2000; or the resamples themselves. */
  resamples?: number | Resamples;
  /** Nominal coverage, default 0.95. */
  level?: number;
}

export interface ScoreIntervals {
  level: number;
  resamples: number;
  /** True if a class has fewer than ten scans: the intervals are then rough ones. */
  rough: boolean;
  /** Those classes. */
  roughClasses: number[];
  scores: Record<ScoreName, Interval>;
  /** Scores of one class against the rest, in the order of the classes. */
  classScores: Record<ClassScoreName, Interval[]>;
}

/**
 * Intervals of all scores by the bootstrap over patients: BCa, and percentile beside it. Every interval is null if there is one patient only.
 * @throws {EvaluationInputError} if given resamples are of another number of patients, or an option is out of range.
 */
export function scoreIntervals(p: Predictions, options: ResamplingOptions = {}): ScoreIntervals {
  const level = levelOf(options);
  const resamples = resamplesOf(p, options);
  const { estimate, resampled, jackknife } = replicatesOf(p, resamples);
  const at = (index: number) =>
    intervalOf(
      { estimate: estimate[index]!, resampled: resampled[index]!, jackknife: jackknife[index]! },
      level,
    );
  const classes = Array.from({ length: p.classes }, (_, k) => k);
  const roughClasses = roughClassesOf(p);
  return {
    level,
    resamples: resamples.count,
    rough: roughClasses.length > 0,
    roughClasses,
    scores: Object.fromEntries(scoreNames.map((name, i) => [name, at(i)])) as Record<ScoreName, Interval>,
    classScores: Object.fromEntries(
      classScoreNames.map((name, i) => [name, classes.map((k) => at(classScoreAt(i, k, p.classes)))]),
    ) as Record<ClassScoreName, Interval[]>,
  };
}

/** Classes with fewer than ten scans. */
export function roughClassesOf(p: Predictions): number[] {
  const counts = new Array<number>(p.classes).fill(0);
  for (const label of p.labels) counts[label]! += 1;
  return counts.flatMap((count, k) => (count < scansForAnInterval ? [k] : []));
}

/** The given resamples, or those of the seed. */
export function resamplesOf(p: Predictions, { seed = 0, resamples }: ResamplingOptions): Resamples {
  if (typeof resamples !== 'object') {
    return drawResamples({
      patients: p.patientCount,
      seed,
      ...(resamples === undefined ? {} : { count: resamples }),
    });
  }
  if (resamples.patients === p.patientCount) return resamples;
  throw new EvaluationInputError(
    'option',
    `the resamples are of ${resamples.patients} patients, but the scans of ${p.patientCount}`,
  );
}

/** The nominal coverage; 0.95 if none is given. */
export function levelOf({ level = 0.95 }: ResamplingOptions): number {
  if (level > 0 && level < 1) return level;
  throw new EvaluationInputError('option', `the level ${level} is not between 0 and 1`, 'give 0.95 for 95 %');
}
