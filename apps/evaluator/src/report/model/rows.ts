// The scores of every row with their intervals, and the row that answers one class for every scan.
import {
  confusionMatrix,
  type Interval,
  predictionsOf,
  type Resamples,
  scoreIntervals,
  type ScoreName,
  scoreNames,
  type Scores,
  scoresOf,
  selectScans,
} from '@ct-ensemble/evaluation';
import type { RowReport, ScoreWithInterval } from './report-model.ts';
import type { ScoredRow, ScoredSplit } from './scored-split.ts';

export interface EvaluationOptions {
  /** Of the resamples and of every other draw; default 0. */
  seed?: number;
  /** Number of resamples, default 2000; or the resamples of the patients of a split. */
  resamples?: number | Resamples;
}

/** The scores of a row, and whether the resamples make its intervals rough. */
export function rowReport(row: ScoredRow, split: ScoredSplit, options: EvaluationOptions): RowReport {
  const p = row.predictions;
  const { scores, classScores } = scoreIntervals(p, options);
  const answered = split.scans.flatMap(({ failure }, i) => (failure === null ? [i] : []));
  const some = answered.length < p.scans && answered.length > 0;
  const stretched = row.choice?.isStretched === true;
  return {
    name: row.name,
    kind: row.kind,
    members: [...row.members],
    submissions: [...row.submissions],
    choice: row.choice?.words ?? null,
    scores: Object.fromEntries(
      scoreNames.map((name) => [
        name,
        stretched && ofProbabilities.has(name) ? undefinedScore : brief(scores[name]),
      ]),
    ) as Record<ScoreName, ScoreWithInterval>,
    byClass: {
      f1: classScores.f1.map(brief),
      precision: classScores.precision.map(brief),
      recall: classScores.recall.map(brief),
      specificity: classScores.specificity.map(brief),
      auroc: classScores.auroc.map(brief),
      auprc: classScores.auprc.map(brief),
    },
    confusion: confusionMatrix(p),
    absentInBoth: scoresOf(p).absentInBoth,
    macroF1WithoutFailed: some ? scoresOf(selectScans(p, answered)).macroF1 : null,
  };
}

/** Scores that take the probabilities at their word. */
const ofProbabilities: ReadonlySet<ScoreName> = new Set(['logLoss', 'brier', 'ece']);

const undefinedScore: ScoreWithInterval = { estimate: null, interval: null, method: null, percentile: null };

/** The parts of an interval that a report shows. */
export const brief = ({ estimate, interval, method, percentile }: Interval): ScoreWithInterval => ({
  estimate,
  interval,
  method,
  percentile,
});

/** The best that answering one class for every scan can do, by macro F1; of equals the first class. */
export function constantRow({ rows }: ScoredSplit): { class: number; scores: Scores } {
  const { labels, classes, patients } = rows[0]!.predictions;
  const always = Array.from({ length: classes }, (_, k) => {
    const row = Array.from({ length: classes }, (__, j) => (j === k ? 1 : 0));
    const probabilities = Array.from(labels, () => row);
    return { class: k, scores: scoresOf(predictionsOf({ classes, labels, patients, probabilities })) };
  });
  return always.reduce((best, next) => (next.scores.macroF1! > best.scores.macroF1! ? next : best));
}
