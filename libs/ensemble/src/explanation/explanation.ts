// Which slices of a scan speak for a class, and where: what members answer, explained, and the mean over them.
import { UserError } from '@ct-ensemble/core';
import type { Volume } from '@ct-ensemble/data';
import {
  type CamMethod,
  type Explanation,
  explainVolume,
  type Model,
  rankOf,
  shownMap,
  type ValueMap,
} from '@ct-ensemble/models';
import { didYouMean } from '../names.ts';

/** A slice of the scan that is in the volume, and how much it speaks for the class. */
export interface SliceScore {
  /** Position among the scan's slices, from 0, as in the record of the volume. */
  position: number;
  /** The slice's own file, relative to the data set, if the scan has one file a slice and the data set is there. */
  file: string | null;
  /** In units of the class's logit: the sum over all places of the volume that this slice takes. */
  score: number;
  /** Places in the volume, from 0; with two views those of the second view follow those of the first. */
  places: number[];
}

export interface MemberExplanation {
  member: string;
  /** [classes]. */
  probabilities: number[];
  logits: number[];
  /** Whether the member was trained on this scan: its answer then says little about new scans. Null if it is not known. */
  trainedOn: boolean | null;
  /** Scores of the volume's places, [depth of all views]. */
  placeScores: number[];
}

/** What is written as JSON for one scan. */
export interface ScanExplanation {
  scan: string;
  /** Null for a scan that belongs to no run. */
  split: string | null;
  /** The scan's true class; null if it is not known. */
  label: string | null;
  classes: string[];
  /** The class that is explained, and the mean (or weighted mean) of the members' probabilities, [classes]. */
  explained: string;
  probabilities: number[];
  method: CamMethod;
  /** The slices by their mean score over the members, the greatest first. */
  slices: SliceScore[];
  members: MemberExplanation[];
}

/** The maps that the pictures of a scan show. */
export interface ScanMaps {
  volume: Volume;
  /** Mean over the members of the shown maps of the last features, at the size of a slice, from 0 to 1. */
  features: ValueMap;
  /** Mean over the members of the slices' maps, C order [depth of all views, height, width]; its sums are the scores. */
  places: Float64Array;
}

export interface ExplainedScan {
  explanation: ScanExplanation;
  maps: ScanMaps;
  /** The same of each member alone, if there are several. */
  byMember: { member: string; explanation: ScanExplanation; maps: ScanMaps }[];
  /** What the reader should know, one line each. */
  findings: string[];
}

/** What is known of a scan besides its volumes. */
export interface DescribedScan {
  key: string;
  split: string | null;
  label: number | null;
  /** The slice's own file as it is shown; null if it is not known. */
  fileOf(position: number): string | null;
}

/** A member and what it sees of a scan. */
export interface ScanInput {
  member: string;
  trainedOn: boolean | null;
  volume: Volume;
  /** For each place of the volume the slice that it was made of. */
  sources: readonly number[];
  /** Share of the member in the mean. */
  weight: number;
}

export interface ExplainScanOptions {
  scan: DescribedScan;
  inputs: readonly ScanInput[];
  /** The member's model with its weights, until the next call. */
  modelOf(member: string): Promise<Model>;
  classes: readonly string[];
  /** Label of the class that is explained; undefined: the one that the members predict. */
  target: number | undefined;
  method: CamMethod;
}

/** Explains what the members answer for a scan. */
export async function explainScan(options: ExplainScanOptions): Promise<Omit<ExplainedScan, 'findings'>> {
  const { scan, inputs, modelOf, classes, method } = options;
  const explained = async (target: number | undefined) => {
    const answers: Explanation[] = [];
    for (const { member, volume } of inputs) {
      const model = await modelOf(member);
      answers.push(await explainVolume(model, volume, { method, ...(target !== undefined && { target }) }));
    }
    return answers;
  };
  let answers = await explained(options.target);
  const probabilities = meanOf(
    answers.map(({ logits }) => softmax(logits)),
    weightsOf(inputs),
  );
  const target = options.target ?? probabilities.indexOf(Math.max(...probabilities));
  if (answers.some((answer) => answer.target !== target)) answers = await explained(target);
  const about = { method, target, classes, scan };
  const parts = answers.map((answer, i): Part => {
    const { member, trainedOn, volume, sources, weight } = inputs[i]!;
    const { height, width } = volume;
    const features = resized(shownMap(answer.map), { height, width });
    const places = joined(answer.views.map(({ maps }) => maps));
    const own: MemberExplanation = {
      member,
      probabilities: softmax(answer.logits),
      logits: answer.logits,
      trainedOn,
      placeScores: answer.views.flatMap(({ scores }) => scores),
    };
    return { own, sources, maps: { volume, features, places }, weight };
  });
  return {
    ...combined(parts, about),
    byMember:
      parts.length === 1
        ? []
        : parts.map((part) => ({ member: part.own.member, ...combined([part], about) })),
  };
}

/** The label of a class. @throws {UserError} if there is none of this name. */
export function classIndex(name: string, classes: readonly string[]): number {
  const index = classes.indexOf(name);
  if (index >= 0) return index;
  throw new UserError(`there is no class ${name}${didYouMean(name, classes)}`, {
    remedy: `choose one of ${classes.join(', ')}`,
  });
}

interface Part {
  own: MemberExplanation;
  /** For each place of the volume the slice that it was made of. */
  sources: readonly number[];
  maps: ScanMaps;
  /** Share of the member in the mean, before they are made to sum to 1. */
  weight: number;
}

interface About {
  method: CamMethod;
  target: number;
  classes: readonly string[];
  scan: DescribedScan;
}

/** The mean over some members, weighted if they have weights. */
function combined(
  parts: readonly Part[],
  { method, target, classes, scan }: About,
): { explanation: ScanExplanation; maps: ScanMaps } {
  const { sources, maps } = parts[0]!;
  const { height, width } = maps.features;
  const weights = weightsOf(parts);
  const placeScores = meanOf(
    parts.map(({ own }) => own.placeScores),
    weights,
  );
  const slices = [...new Set(sources)].map((position): SliceScore => {
    const places = sources.flatMap((source, place) => (source === position ? [place] : []));
    const score = places.reduce((sum, place) => sum + placeScores[place]!, 0);
    return { position, file: scan.fileOf(position), score, places };
  });
  return {
    explanation: {
      scan: scan.key,
      split: scan.split,
      label: scan.label === null ? null : classes[scan.label]!,
      classes: [...classes],
      explained: classes[target]!,
      probabilities: meanOf(
        parts.map(({ own }) => own.probabilities),
        weights,
      ),
      method,
      slices: rankOf(slices.map(({ score }) => score)).map((i) => slices[i]!),
      members: parts.map(({ own }) => own),
    },
    maps: {
      volume: maps.volume,
      features: {
        height,
        width,
        data: meanOfMaps(
          parts.map((part) => part.maps.features.data),
          weights,
        ),
      },
      places: meanOfMaps(
        parts.map((part) => part.maps.places),
        weights,
      ),
    },
  };
}

/** Bilinear, with pixel centres at half-integers; beyond the outermost centres the map is constant. */
function resized(map: ValueMap, { height, width }: { height: number; width: number }): ValueMap {
  const data = new Float64Array(height * width);
  const at = (i: number, from: number, to: number) => {
    const position = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
    const before = Math.min(Math.floor(position), Math.max(from - 2, 0));
    return { before, after: Math.min(before + 1, from - 1), share: position - before };
  };
  for (let y = 0; y < height; y++) {
    const row = at(y, map.height, height);
    for (let x = 0; x < width; x++) {
      const column = at(x, map.width, width);
      const value = (r: number, c: number) => map.data[r * map.width + c]!;
      const upper = value(row.before, column.before) * (1 - column.share) + value(row.before, column.after) * column.share; // prettier-ignore
      const lower = value(row.after, column.before) * (1 - column.share) + value(row.after, column.after) * column.share; // prettier-ignore
      data[y * width + x] = upper * (1 - row.share) + lower * row.share;
    }
  }
  return { height, width, data };
}

const softmax = (logits: readonly number[]) => {
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
};

/** [parts], with the sum 1; equal ones if all weights are 0. */
function weightsOf(parts: readonly { weight: number }[]): number[] {
  const sum = parts.reduce((total, { weight }) => total + weight, 0);
  return parts.map(({ weight }) => (sum > 0 ? weight / sum : 1 / parts.length));
}

const meanOf = (rows: readonly (readonly number[])[], weights: readonly number[]) =>
  rows[0]!.map((_, i) => rows.reduce((sum, row, m) => sum + weights[m]! * row[i]!, 0));

function meanOfMaps(maps: readonly Float64Array[], weights: readonly number[]): Float64Array {
  const mean = new Float64Array(maps[0]!.length);
  for (const [m, map] of maps.entries())
    for (let i = 0; i < mean.length; i++) mean[i]! += weights[m]! * map[i]!;
  return mean;
}

function joined(parts: readonly Float64Array[]): Float64Array {
  const whole = new Float64Array(parts.reduce((sum, { length }) => sum + length, 0));
  let from = 0;
  for (const part of parts) {
    whole.set(part, from);
    from += part.length;
  }
  return whole;
}
