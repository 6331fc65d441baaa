// How certain each single answer is: entropies, disagreement, risk against coverage, conformal sets.
import { permutation } from '@ct-ensemble/core';
import {
  answerOf,
  calibrateConformal,
  conformalSets,
  disagreement,
  entropy,
  riskCoverage,
  selectScans,
} from '@ct-ensemble/evaluation';
import type { ConformalReport, SplitReport } from './report-model.ts';
import { answersOf, mainRowOf, type ScoredRow, type ScoredSplit, singlesOf } from './scored-split.ts';

/** Share of sets that may miss the true class. */
export const conformalAlpha = 0.1;
const calibrationFolds = 5;
const coverages = Array.from({ length: 20 }, (_, i) => (i + 1) / 20);

export function doubtOf(split: ScoredSplit, { seed = 0 }: { seed?: number }): SplitReport['doubt'] {
  const main = mainRowOf(split);
  const p = main.predictions;
  const singles = averagedBy(main, split);
  const between = singles.length > 1 ? disagreement(singles.map(({ predictions }) => predictions)) : null;
  const { risk, aurc, excessAurc } = riskCoverage(p);
  const conformal = conformalOf(split, main, seed);
  const [lac] = conformal.sets;
  return {
    scans: answersOf(main).map((answer, i) => ({
      key: split.scans[i]!.key,
      ...answer,
      entropy: entropy(p.probabilities.subarray(i * p.classes, (i + 1) * p.classes)) / Math.log(p.classes),
      mutualInformation: between?.mutualInformation[i] ?? null,
      votesAgainst: between?.votesAgainst[i] ?? null,
      conformal: lac?.[i] ?? null,
    })),
    riskCoverage: coverages.map((coverage) => ({
      coverage,
      risk: risk[Math.max(0, Math.ceil(coverage * p.scans - 1e-9) - 1)]!,
    })),
    aurc,
    excessAurc,
    conformal: conformal.reports,
    notes: [
      ...(between === null
        ? ['There is one member only, so disagreement between members cannot be shown.']
        : []),
      ...conformal.notes,
    ],
  };
}

/** The members or groups that the row averages. */
function averagedBy(row: ScoredRow, split: ScoredSplit): ScoredRow[] {
  const averaged = singlesOf(split).filter(({ name }) => row.members.includes(name));
  return averaged.length > 0 ? averaged : [row];
}

/** Each fold's sets, calibrated on the other folds. */
function conformalOf(split: ScoredSplit, { predictions: p }: ScoredRow, seed: number) {
  const drawn = split.folds === null || new Set(split.folds).size < 2;
  const folds = drawn ? drawnFolds(p.patients, p.patientCount, seed) : split.folds!;
  const numbers = [...new Set(folds)];
  if (numbers.length < 2) {
    return { reports: [], sets: [], notes: ['There are too few patients to calibrate conformal sets.'] };
  }
  const methods = ['lac', 'aps'] as const;
  const sets = methods.map((method) => {
    const ofScan: number[][] = Array.from({ length: p.scans }, () => []);
    for (const fold of numbers) {
      const [inside, outside] = [true, false].map((is) =>
        [...folds.keys()].filter((i) => (folds[i] === fold) === is),
      );
      const rule = calibrateConformal(selectScans(p, outside!), { alpha: conformalAlpha, method });
      const answered = conformalSets(rule, selectScans(p, inside!).probabilities);
      inside!.forEach((i, at) => (ofScan[i] = answered[at]!));
    }
    return ofScan;
  });
  const reports = methods.map((method, m): ConformalReport => {
    const answers = sets[m]!.map(answerOf);
    const answered = answers.filter((answer) => answer !== null).length;
    const right = answers.filter((answer, i) => answer === p.labels[i]).length;
    return {
      method,
      alpha: conformalAlpha,
      guarantee: calibrateConformal(p, { alpha: conformalAlpha, method }).guarantee,
      coverage: sets[m]!.filter((set, i) => set.includes(p.labels[i]!)).length / p.scans,
      meanSize: sets[m]!.reduce((sum, set) => sum + set.length, 0) / p.scans,
      answered,
      rightOfAnswered: answered === 0 ? null : right / answered,
    };
  });
  const notes = [
    drawn
      ? `The sets of each fifth of the patients are calibrated on the other four fifths, because the run has no folds.`
      : 'The sets of each fold are calibrated on the other folds.',
    ...(split.split === 'val'
      ? ['The best epochs were chosen on these scans, so the guarantee holds only roughly for new scans.']
      : []),
  ];
  return { reports, sets, notes };
}

/** A fold for each scan, drawn by patient. */
function drawnFolds(patients: Int32Array, count: number, seed: number): number[] {
  const order = permutation(count, { seed, purpose: 'report/conformal-folds' });
  const foldOf = new Array<number>(count);
  order.forEach((patient, at) => (foldOf[patient] = at % Math.min(calibrationFolds, count)));
  return Array.from(patients, (patient) => foldOf[patient]!);
}
