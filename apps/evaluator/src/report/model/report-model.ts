// The content of a report as plain values that JSON can hold: what the tables, the charts and the page are written from.
import type {
  AnswerAgreement,
  DeLong,
  Interval,
  McNemar,
  ReliabilityBin,
  ScoreName,
  Scores,
  SizePoint,
  ThresholdPoint,
} from '@ct-ensemble/evaluation';
import type { MemberInput, ReportSplit, RowInput, RunInput } from '../input/run-input.ts';

/** A score with its 95 % interval (BCa over patients); null where it is undefined. */
export type ScoreWithInterval = Pick<Interval, 'estimate' | 'interval' | 'method' | 'percentile'>;

export interface RowReport {
  name: string;
  kind: RowInput['kind'];
  members: string[];
  submissions: string[];
  /** What a submission chose, in words; null for the others. */
  choice: string | null;
  scores: Record<ScoreName, ScoreWithInterval>;
  /** One score a class. */
  byClass: Record<'f1' | 'precision' | 'recall' | 'specificity' | 'auroc' | 'auprc', ScoreWithInterval[]>;
  confusion: number[][];
  /** Classes that are absent in truth and prediction and count 0 in the macro F1. */
  absentInBoth: number[];
  /** Without the scans that have no probabilities, as training computes it; null if there are none such. */
  macroF1WithoutFailed: number | null;
}

export interface ComparisonReport {
  a: string;
  b: string;
  difference: ScoreWithInterval;
  bootstrapP: number | null;
  swapP: number | null;
  adjustedP: number | null;
  mcnemar: McNemar;
  delong: (DeLong | null)[];
  distinguishable: boolean;
  words: string;
}

export interface PaperRow {
  name: string;
  members: string[];
  macroF1: number | null;
  interval: [number, number] | null;
  f1: (number | null)[];
  /** The paper's figures for the row of the same members, 0 … 1. */
  paper: { macroF1: number; f1: number[] | null } | null;
}

export interface PaperTable {
  title: string;
  /** What has to be known to read the two columns of figures side by side. */
  notes: string[];
  byClass: boolean;
  rows: PaperRow[];
}

export interface CombinationRow {
  name: string;
  macroF1: ScoreWithInterval;
  /** Null where the combination gives decisions only. */
  logLoss: ScoreWithInterval | null;
  accuracy: ScoreWithInterval;
  /** Against the mean, in words; null for the mean itself. */
  words: string | null;
  /** What is chosen on all scans, in words. */
  choice: string;
}

/** A submission that chooses, against the mean of the same members. */
export interface ChosenReport {
  name: string;
  macroF1: ScoreWithInterval;
  mean: ScoreWithInterval;
  difference: ScoreWithInterval;
  /** After Holm's correction if there are several submissions that choose. */
  p: number | null;
  words: string;
  choice: string;
}

export interface AugmentationReport {
  row: string;
  augmentation: string;
  scans: number;
  plain: number;
  augmented: number;
  gain: ScoreWithInterval;
}

export interface DoubtfulScan {
  key: string;
  /** Null if the class is not known. */
  label: number | null;
  predicted: number;
  confidence: number;
  /** Entropy of the mean probabilities divided by its greatest value, 0 … 1. */
  entropy: number;
  /** Nats; null with one member. */
  mutualInformation: number | null;
  /** Share of members that call another class; null with one member. */
  votesAgainst: number | null;
  /** Classes of the conformal set (leave-fold-out calibration); null where there is none. */
  conformal: number[] | null;
}

export interface ConformalReport {
  method: 'lac' | 'aps';
  alpha: number;
  guarantee: string;
  /** Share of sets that hold the true class, when each fold is calibrated on the others. */
  coverage: number;
  meanSize: number;
  /** Share of scans with exactly one class in their set, and how many of those answers are right. */
  answered: number;
  rightOfAnswered: number | null;
}

export interface GroupReport {
  column: string;
  values: {
    value: string;
    scans: number;
    patients: number;
    macroF1: ScoreWithInterval | null;
    accuracy: ScoreWithInterval;
  }[];
  words: string;
}

/** A scan that is shown as a picture, or listed as an error. */
export interface ShownScan {
  key: string;
  label: number;
  predicted: number;
  confidence: number;
}

export interface PictureGroup {
  title: string;
  /** The surest first. */
  scans: ShownScan[];
  /** All scans of this kind. */
  count: number;
}

export interface SplitReport {
  split: ReportSplit;
  title: string;
  /** What these figures are worth, in sentences. */
  notes: string[];
  scans: number;
  patients: number;
  perClass: number[];
  unlabelled: number;
  failed: { key: string; reason: string }[];
  /** Name of the row that curves, doubt and errors are shown of. */
  main: string;
  rows: RowReport[];
  constant: { class: number; scores: Scores };
  /** `against`: the row that every other one is compared with; null if all pairs are compared. */
  comparisons: { against: string | null; notes: string[]; words: string[]; pairs: ComparisonReport[] };
  paper: PaperTable | null;
  combination: { notes: string[]; rows: CombinationRow[]; chosen: ChosenReport[] };
  augmentation: AugmentationReport[];
  sizeCurve: SizePoint[];
  agreement: { a: string; b: string; agreement: AnswerAgreement }[];
  doubt: {
    scans: (DoubtfulScan & { label: number })[];
    /** Risk at coverages of 5, 10, … 100 %. */
    riskCoverage: { coverage: number; risk: number }[];
    aurc: number;
    excessAurc: number;
    conformal: ConformalReport[];
    notes: string[];
  };
  reliability: ReliabilityBin[];
  /** One list of points a class; null where the class has no scan. */
  curves: (ThresholdPoint[] | null)[];
  groups: GroupReport[];
  errors: ShownScan[];
  pictures: PictureGroup[];
}

/** Doubt about the scans of a split whose class is not known. */
export interface UnlabelledReport {
  split: ReportSplit;
  title: string;
  notes: string[];
  main: string;
  /** Scans that are called each class. */
  perClass: number[];
  scans: DoubtfulScan[];
  /** Scans whose conformal set holds exactly one class; null without sets. */
  answered: number | null;
  failed: { key: string; reason: string }[];
}

export interface RunReport {
  run: string;
  /** What the run says, in sentences. */
  headline: string[];
  recipe: RunInput['recipe'];
  task: RunInput['task'];
  classes: string[];
  positive: number | null;
  dataset: RunInput['dataset'];
  members: MemberInput[];
  submissions: RunInput['submissions'];
  findings: string[];
  versions: string[];
  level: number;
  resamples: number;
  splits: SplitReport[];
  /** One for each split that has scans without a known class. */
  unlabelled: UnlabelledReport[];
}
