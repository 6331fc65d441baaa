// The answer of an ensemble for one scan: what follows from its members' probabilities.
import type { Volume } from '@ct-ensemble/data';
import {
  applyTemperature,
  conformalSets,
  disagreement,
  meanOf,
  predictionsOf,
  weightedMeanOf,
} from '@ct-ensemble/evaluation';
import { type ScanFinding } from '../ensemble-file/likeness.ts';
import type { Manifest } from '../ensemble-file/manifest.ts';

/** What every answer has. */
interface AnyAnswer {
  /** The scan's path as it was given, or below the folder that was given; '/'-separated. */
  scan: string;
  /** SHA-256 over the bytes of the scan's files and the settings of the preparation; null if no file could be read. */
  content: string | null;
  /** `EnsembleFile.id` of the ensemble. */
  model: string;
  /** What was noticed about the scan and did not prevent an answer, in the order in which it was noticed. */
  findings: ScanFinding[];
}

/** A scan that could be answered. Lists of numbers are in the order of the ensemble's classes. */
export interface Answered extends AnyAnswer {
  failure: null;
  /** The members' mean or weighted mean, [classes]. */
  probabilities: number[];
  /** The class of the greatest probability; of equals the first. */
  predicted: string;
  /** The probabilities at the temperature that fits the calibration scans best, [classes]. */
  calibrated: number[];
  /** Between the members: least and greatest probability, and standard deviation (divided by their number), [classes] each. */
  spread: { min: number[]; max: number[]; sd: number[] };
  /** Entropy of `probabilities` in nats, 0 … ln(classes). */
  entropy: number;
  /** The part of the entropy that comes from the members' disagreement, in nats. */
  mutualInformation: number;
  /** Share of members whose predicted class is another. */
  votesAgainst: number;
  /** The classes that cannot be excluded at `alpha`: of one class it is an answer; several or none are for a reader. */
  set: string[];
  /** Share of sets that may miss the true class. */
  alpha: number;
  /** [members][classes], in the order of the ensemble's members. */
  members: number[][];
  /** Number of slices that could be decoded, and of those that may be in the volume. */
  slices: number;
  kept: number;
  /** The prepared volumes and, for each of their slices, the slice of the scan; only if they were asked for. */
  volumes?: { volume: Volume; sources: number[] }[];
}

/** A scan that could not be answered. */
export interface Unanswered extends AnyAnswer {
  /** Why, in one sentence. */
  failure: string;
}

export type Answer = Answered | Unanswered;

/** The numbers of an answer from the members' probabilities, [members][classes]. */
export function numbersOf(
  rows: readonly number[][],
  { classes, combination, calibration }: Manifest,
  alpha: number,
): Omit<Answered, keyof AnyAnswer | 'failure' | 'members' | 'slices' | 'kept' | 'volumes'> {
  const members = rows.map((row) =>
    predictionsOf({ classes: classes.length, labels: [0], probabilities: [row] }),
  );
  const mixed = combination.weights === null ? meanOf(members) : weightedMeanOf(members, combination.weights);
  const probabilities = [...mixed.probabilities];
  const doubt = disagreement(members);
  const { threshold } = calibration.conformal.find((rule) => rule.alpha === alpha)!;
  const [set] = conformalSets(
    {
      classes: classes.length,
      alpha,
      method: 'lac',
      lambda: 0,
      kReg: 0,
      thresholds: classes.map(() => threshold),
      scores: new Float64Array(0),
      ranks: [],
      coverageRange: null,
      guarantee: '',
    },
    mixed.probabilities,
  );
  const perClass = (value: (values: number[]) => number) =>
    classes.map((_, k) => value(rows.map((row) => row[k]!)));
  return {
    probabilities,
    predicted: classes[probabilities.indexOf(Math.max(...probabilities))]!,
    calibrated: [...applyTemperature(mixed, calibration.temperature.value).probabilities],
    spread: {
      min: perClass((values) => Math.min(...values)),
      max: perClass((values) => Math.max(...values)),
      sd: [...doubt.spread],
    },
    entropy: doubt.predictiveEntropy[0]!,
    mutualInformation: doubt.mutualInformation[0]!,
    votesAgainst: doubt.votesAgainst[0]!,
    set: set!.map((k) => classes[k]!),
    alpha,
  };
}
