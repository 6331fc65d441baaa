// Names of the scores. Scores of the whole set come first, scores of one class against the rest second.

export const scoreNames = [
  'macroF1',
  'balancedAccuracy',
  'accuracy',
  'macroAuroc',
  'macroAuprc',
  'logLoss',
  'brier',
  'ece',
  'mcc',
  'kappa',
  'quadraticKappa',
] as const;

/** A score of the whole set. */
export type ScoreName = (typeof scoreNames)[number];

export const classScoreNames = ['f1', 'precision', 'recall', 'specificity', 'auroc', 'auprc'] as const;

/** A score of one class against the rest. */
export type ClassScoreName = (typeof classScoreNames)[number];

/** Scores of which less is better. */
export const losses: readonly ScoreName[] = ['logLoss', 'brier', 'ece'];

/** A score's name in a sentence. */
export const scoreTitles: Record<ScoreName, string> = {
  macroF1: 'macro F1',
  balancedAccuracy: 'balanced accuracy',
  accuracy: 'accuracy',
  macroAuroc: 'macro AUROC',
  macroAuprc: 'macro AUPRC',
  logLoss: 'log loss',
  brier: 'Brier score',
  ece: 'expected calibration error',
  mcc: 'Matthews correlation',
  kappa: 'kappa',
  quadraticKappa: 'quadratic kappa',
};
