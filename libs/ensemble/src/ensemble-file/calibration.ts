// What an ensemble file says of its ensemble's scores and doubt: from probabilities of scans that the members were not trained on.
import { UserError } from '@ct-ensemble/core';
import { readRows, type StoredScan } from '@ct-ensemble/data';
import {
  calibrateConformal,
  fitTemperature,
  type Interval,
  type Predictions,
  predictionsOf,
  roughClassesOf,
  scoreIntervals,
  scoresOf,
} from '@ct-ensemble/evaluation';
import type { Probabilities } from '../results/probabilities.ts';
import { splitsFile } from '../run-folder.ts';
import type { EnsembleScores, Manifest } from './manifest.ts';

/** Shares of sets that may miss the true class. The first is the default of answers. */
const ALPHAS = [0.1, 0.05, 0.2];

/** Patients of the run's scans by key, from splits.csv; a scan without one is a patient of its own. */
export async function readPatients(run: string): Promise<(scan: Pick<StoredScan, 'key'>) => string> {
  const [header, ...rows] = await readRows(splitsFile(run));
  const [scan, patient] = ['scan', 'patient'].map((name) => header?.cells.indexOf(name) ?? -1);
  if (scan === -1 || patient === -1)
    throw new UserError('has no columns scan and patient', {
      file: splitsFile(run),
      remedy: 'start the training of this run again, which writes the file anew',
    });
  const patients = new Map(rows.map(({ cells }) => [cells[scan!]!, cells[patient!] ?? '']));
  // A scan's key has a slash or is no patient's name: the two kinds of names are told apart by their beginning.
  return ({ key }) => (patients.get(key) ? `patient ${patients.get(key)}` : `scan ${key}`);
}

/** The labelled scans of these probabilities as the evaluation takes them; null if there are none. */
export function labelled(
  { classes, scans, rows }: Probabilities,
  patientOf: (scan: { key: string }) => string,
): Predictions | null {
  const known = scans.flatMap((scan, i) => (scan.label === null ? [] : [{ scan, label: scan.label, i }]));
  if (known.length === 0) return null;
  return predictionsOf({
    classes: classes.length,
    labels: known.map(({ label }) => label),
    probabilities: known.map(({ i }) => rows[i]!),
    patients: known.map(({ scan }) => patientOf(scan)),
  });
}

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
