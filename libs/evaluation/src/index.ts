// Evaluation of class probabilities: scores, intervals, comparisons, combinations of members, doubt. Pure functions over arrays; no
// files, no tensors, nothing that is particular to one data set.
export {
  checkSameScans,
  EvaluationInputError,
  type InputProblem,
  type Predictions,
  type PredictionsInput,
  predictionsOf,
  selectScans,
  withProbabilities,
} from './predictions.ts';

export { answerScores, type AnswerScores } from './scores/answers.ts';
export { argmax, confusionMatrix, predictedClasses } from './scores/confusion.ts';
export { thresholdCurve, type ThresholdPoint } from './scores/curves.ts';
export {
  type ClassScoreName,
  classScoreNames,
  losses,
  type ScoreName,
  scoreNames,
  scoreTitles,
} from './scores/names.ts';
export { type Scores, scoresOf } from './scores/scores.ts';

export { type Interval, intervalOf, type Replicated } from './intervals/bca.ts';
export {
  defaultResamples,
  drawResamples,
  type Resamples,
  resamplesFrom,
  type ResamplesKey,
} from './intervals/resamples.ts';
export {
  type ResamplingOptions,
  roughClassesOf,
  type ScoreIntervals,
  scoreIntervals,
  scansForAnInterval,
} from './intervals/score-intervals.ts';

export { answerAgreement, type AnswerAgreement } from './comparison/agreement.ts';
export { type CompareOptions, compareRows, type Comparison, type Row } from './comparison/compare.ts';
export { type DeLong, delong } from './comparison/delong.ts';
export { holm } from './comparison/holm.ts';
export { mcnemar, type McNemar, mcnemarOf } from './comparison/mcnemar.ts';
export { type PairedDifference, pairedDifferences } from './comparison/paired-bootstrap.ts';
export { type SwapOptions, type SwappableScore, swapTest, type SwapTest } from './comparison/swap-test.ts';
export { describeComparisons, describeDifference } from './comparison/wording.ts';

export {
  type GreedyLoss,
  type GreedyOptions,
  greedySelection,
  type GreedySelection,
} from './combination/greedy.ts';
export {
  centreThreshold,
  combined,
  type CombinationChoice,
  type CombinationMethod,
  type CombinationOptions,
} from './combination/combined.ts';
export { meanOf, weightedMeanOf } from './combination/mean.ts';
export * as strategies from './combination/strategies.ts';
export { nested, type Nested } from './combination/nested.ts';
export type { Strategy } from './combination/strategies.ts';
export { sizeCurve, type SizeCurveOptions, type SizePoint } from './combination/size-curve.ts';
export {
  applyTemperature,
  type FittedTemperature,
  fitTemperature,
  temperatureBounds,
} from './combination/temperature.ts';
export { applyThreshold, type FittedThreshold, fitThreshold } from './combination/threshold.ts';
export { type FittedWeights, fitWeights } from './combination/weighted.ts';

export {
  answerOf,
  calibrateConformal,
  type ConformalMethod,
  type ConformalOptions,
  type ConformalRule,
  conformalSets,
} from './doubt/conformal.ts';
export { disagreement, type Disagreement, entropy } from './doubt/disagreement.ts';
export { type ReliabilityBin, reliabilityBins } from './doubt/reliability.ts';
export { type RiskCoverage, riskCoverage } from './doubt/risk-coverage.ts';
