// The rows of a split as predictions of the scans whose class is known, the failed ones included.
import {
  argmax,
  EvaluationInputError,
  predictedClasses,
  type Predictions,
  predictionsOf,
} from '@ct-ensemble/evaluation';
import type { ChoiceInput, RowInput, RowProbabilities, ScanInput, SplitInput } from '../input/run-input.ts';

export interface ScoredRow extends Pick<RowInput, 'name' | 'kind' | 'members' | 'submissions'> {
  predictions: Predictions;
  /** Of a chosen row: the choice, and the mean of the same members; else null. */
  choice: (Omit<ChoiceInput, 'mean'> & { mean: Predictions }) | null;
}

/** The scans of a split that can be scored, with every row's answers to them. */
export interface ScoredSplit {
  split: SplitInput['split'];
  scans: ScanInput[];
  rows: ScoredRow[];
  /** Fold of each scan; null if a scan has none. */
  folds: number[] | null;
  patientsKnown: boolean;
  unlabelled: number;
}

/**
 * Keeps the scans with a class. A scan without probabilities is answered with the shares of the classes that the row predicts for
 * the other scans, so that it is called as in a submission: the class predicted most often.
 * @returns null if no scan has a class, or there is no row.
 */
export function scoredSplit({ split, scans, rows }: SplitInput, classes: number): ScoredSplit | null {
  const index = scans.flatMap(({ label }, i) => (label === null ? [] : [i]));
  if (index.length === 0 || rows.length === 0) return null;
  const kept = index.map((i) => scans[i]!);
  const folds = kept.map(({ fold }) => fold);
  const predictions = (name: string, probabilities: RowProbabilities) =>
    predictionsOf({
      classes,
      labels: kept.map(({ label }) => label!),
      patients: kept.map(({ patient, key }) => (patient === null ? `scan ${key}` : `patient ${patient}`)),
      probabilities: withFailed({ name, probabilities }, { index, classes }),
    });
  return {
    split,
    scans: kept,
    rows: rows.map(({ name, kind, members, submissions, probabilities, choice }) => ({
      name,
      kind,
      members,
      submissions,
      predictions: predictions(name, probabilities),
      choice: choice === undefined ? null : { ...choice, mean: predictions(name, choice.mean) },
    })),
    folds: folds.includes(null) ? null : (folds as number[]),
    patientsKnown: kept.every(({ patient }) => patient !== null),
    unlabelled: scans.length - index.length,
  };
}

function withFailed(
  { name, probabilities }: Pick<RowInput, 'name' | 'probabilities'>,
  { index, classes }: { index: readonly number[]; classes: number },
): readonly (readonly number[])[] {
  const shares = new Array<number>(classes).fill(0);
  const answered = probabilities.filter((row) => row !== null);
  for (const row of answered) shares[argmax(row)]! += 1 / answered.length;
  if (answered.length === 0) shares[0] = 1;
  return index.map((i) => {
    const row = probabilities[i];
    if (row !== undefined) return row ?? shares;
    throw new EvaluationInputError('lengths-differ', `${name}: there are no probabilities for scan ${i}`);
  });
}

type KindOfRow = Pick<RowInput, 'kind' | 'members'>;

/** Members or groups: the rows that are made of no others. */
export const singlesOf = <Row extends KindOfRow>({ rows }: { rows: readonly Row[] }): Row[] =>
  rows.filter(({ kind }) => kind === 'member' || kind === 'group');

/** The mean of most members: what doubt, errors and curves are shown of. It is chosen without looking at a score. */
export function mainRowOf<Row extends KindOfRow>({ rows }: { rows: readonly Row[] }): Row {
  const size = ({ kind, members }: Row) => (kind === 'ensemble' ? members.length : kind === 'chosen' ? 0 : 1);
  return rows.reduce((most, row) => (size(row) > size(most) ? row : most));
}

/** What the row calls each scan, and with which probability. */
export function answersOf({
  predictions: p,
}: ScoredRow): { label: number; predicted: number; confidence: number }[] {
  return Array.from(predictedClasses(p.probabilities, p.classes), (predicted, i) => ({
    label: p.labels[i]!,
    predicted,
    confidence: p.probabilities[i * p.classes + predicted]!,
  }));
}
