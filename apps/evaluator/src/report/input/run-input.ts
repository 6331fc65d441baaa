// What a report is made from: the results of a run as plain values, without files. `readRunInput` fills it from a run folder; tests
// and other programs may fill it as they like.

/** Which scans are scored. `out-of-fold`: every scan is answered by members that were not trained on it. */
export type ReportSplit = 'val' | 'test' | 'out-of-fold';

export interface ScanInput {
  /** Unique among the scans of a split. */
  key: string;
  /** Index into `classes`; null if the class is not known. */
  label: number | null;
  /** Null if the data set does not name the patient; the scan then counts as a patient of its own. */
  patient: string | null;
  /** The fold in which the scan was held out; null without folds. */
  fold: number | null;
  /** Values of the group columns of the table of scans, such as { centre: 'A', sex: 'f' }. */
  groups: Readonly<Record<string, string>>;
  /** Why the scan has no probabilities; null if it has. */
  failure: string | null;
}

/** Class probabilities of one member, group or ensemble for the scans of a split. */
export interface RowInput {
  name: string;
  /**
   * `group`: members of one architecture and seed, one a fold. `ensemble`: the mean of several members or groups. `chosen`: a submission
   * that chooses weights, a temperature or a threshold.
   */
  kind: 'member' | 'group' | 'ensemble' | 'chosen';
  /** The members or groups that are averaged; for a member itself. */
  members: readonly string[];
  /** Names of the recipe's submissions that are this row. */
  submissions: readonly string[];
  /** [scans][classes]; null for a scan that has none. */
  probabilities: RowProbabilities;
  /** Of a chosen row only. */
  choice?: ChoiceInput;
}

export type RowProbabilities = readonly (readonly number[] | null)[];

/** What a submission chose on out-of-fold probabilities. Its row is nested on out-of-fold scans; other scans have the final choice. */
export interface ChoiceInput {
  /** The final choice, in words. */
  words: string;
  /** A threshold has stretched the probabilities, so that they no longer say how probable a class is. */
  isStretched: boolean;
  /** The mean of the same members. */
  mean: RowProbabilities;
}

export interface SplitInput {
  split: ReportSplit;
  scans: readonly ScanInput[];
  /** All rows are of these scans. */
  rows: readonly RowInput[];
}

export interface EpochInput {
  /** Counts from 1. */
  epoch: number;
  learningRate: number;
  loss: number | null;
  /** On the member's validation scans. */
  macroF1: number | null;
  seconds: number | null;
}

export interface MemberInput {
  name: string;
  architecture: string;
  seed: number;
  /** The fold that the member was not trained on; null without folds. */
  fold: number | null;
  state: 'done' | 'not trained' | 'failed' | 'unusable';
  /** Why the member is not in the tables; null if it is. */
  problem: string | null;
  /** What it was trained with, such as `cpu:2`; null if it is not known. */
  device: string | null;
  engine: string | null;
  node: string | null;
  epochs: readonly EpochInput[];
  /** Counts from 1; null if it is not known. */
  bestEpoch: number | null;
}

export interface FindingInput {
  kind: string;
  path: string;
  message: string;
}

/** Scans of the data set by split, classes in the order of `classes`. */
export interface CountInput {
  split: string;
  perClass: readonly number[];
  unlabelled: number;
  failed: number;
}

export interface SubmissionInput {
  name: string;
  members: readonly string[];
  /** What it chooses, in words; null if it is the plain mean. */
  choice: string | null;
  /** Members that are not done or not usable; the submission is scored if there is none. */
  missing: readonly string[];
}

/** What test-time augmentation gains for a row of a split. */
export interface AugmentationInput {
  split: ReportSplit;
  /** A member, a group or a submission; `ensemble`: the mean of all that have probabilities with augmentation. */
  row: string;
  /** Such as `flips,slices:4`. */
  augmentation: string;
  scans: number;
  /** Macro F1 without and with it, 0 … 1. */
  plain: number;
  augmented: number;
  gain: { estimate: number | null; interval: [number, number] | null };
}

/** Everything that a report says about a run. */
export interface RunInput {
  run: string;
  recipe: { name: string; description: string; text: string };
  /** The task of the COV19D competition, if the recipe names one. */
  task: 'detection' | 'severity' | null;
  /** Whether the recipe is the published one, so that the paper's own figures stand beside the run's. */
  asInPaper: boolean;
  classes: readonly string[];
  /** The class that counts as positive in TP, FP, TN, FN; null if there is none. */
  positive: number | null;
  dataset: {
    root: string;
    layout: string;
    /** Where the splits are from, in words. */
    splits: string;
    counts: readonly CountInput[];
    findings: readonly FindingInput[];
  };
  members: readonly MemberInput[];
  splits: readonly SplitInput[];
  submissions: readonly SubmissionInput[];
  /** Empty if no member has probabilities with test-time augmentation. */
  augmentation: readonly AugmentationInput[];
  /** Warnings about the results, such as two members with equal probabilities. */
  findings: readonly string[];
  /** Versions of the project and of what the report was made with, in words. */
  versions: readonly string[];
}
