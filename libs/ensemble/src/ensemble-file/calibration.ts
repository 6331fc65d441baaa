// What an ensemble file says of its ensemble's scores and doubt: from probabilities of scans that the members were not trained on.
import {
  calibrateConformal,
  fitTemperature,
  type Interval,
  type Predictions,
  roughClassesOf,
  scoreIntervals,
  scoresOf,
} from '@ct-ensemble/evaluation';
import type { EnsembleScores, Manifest } from './manifest.ts';

/** Shares of sets that may miss the true class. The first is the default of answers. */
const ALPHAS = [0.1, 0.05, 0.2];

export function calibrationOf(
  p: Predictions,
  source: Manifest['calibration']['source'],
): Manifest['calibration'] {
  const { temperature, logLossBefore, logLossAfter } = fitTemperature(p);
  return {
    source,
    scans: p.scans,
    patients: p.patientCount,
    temperature: { value: temperature, logLossBefore, logLossAfter },
    conformal: ALPHAS.map((alpha) => {
      const { thresholds, coverageRange, guarantee } = calibrateConformal(p, { alpha, method: 'lac' });
      return { alpha, method: 'lac' as const, threshold: thresholds[0]!, coverageRange, guarantee };
    }),
  };
}

export function ensembleScores(p: Predictions): EnsembleScores {
  const { macroF1, accuracy, macroAuroc, confusion } = scoresOf(p);
  const { scores } = scoreIntervals(p);
  const withInterval = (estimate: number, { interval }: Interval) => ({
    estimate,
    low: interval?.[0] ?? null,
    high: interval?.[1] ?? null,
  });
  return {
    scans: p.scans,
    patients: p.patientCount,
    macroF1: withInterval(macroF1!, scores.macroF1),
    accuracy: withInterval(accuracy!, scores.accuracy),
    auroc: macroAuroc === null ? null : withInterval(macroAuroc, scores.macroAuroc),
    confusion,
    rough: roughClassesOf(p).length > 0,
  };
}
