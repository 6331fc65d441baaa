// The run's own list of scans, against which the probabilities of its members are checked.
import { UserError } from '@ct-ensemble/core';
import type { StoredScan } from '@ct-ensemble/data';
import { z } from 'zod';
import { digestOf, type Plan } from '../run/plan.ts';
import { datasetFile, type MemberScans, scansFile } from '../run-folder.ts';
import { readRecord } from '../json-record.ts';
import { readAllScans, scanSchema, scansOf } from '../run-records.ts';
import { developmentNames } from './scan-names.ts';
import { asProbabilities } from '../run/member-probabilities.ts';
import { doubled, list } from './lists.ts';
import { type FailedScan, predictAnew, type Probabilities, type ScanLabel } from './probabilities.ts';

const datasetSchema = z.looseObject({
  classes: z.array(z.string()),
  counts: z
    .record(z.string(), z.looseObject({ perClass: z.array(z.int()), unlabelled: z.int(), failed: z.int() }))
    .default({}),
  findings: z.array(z.looseObject({ kind: z.string(), path: z.string(), message: z.string() })).default([]),
  scans: z.array(
    scanSchema.extend({
      group: z.string().nullable().optional(),
      groups: z.record(z.string(), z.string()).optional(),
    }),
  ),
});

/** What dataset.json says of the data set of a run. */
export type DatasetRecord = z.infer<typeof datasetSchema>;

/** The scans that a member's probabilities must have: those with a volume and those without. */
export interface ExpectedScans {
  split: 'val' | 'test';
  classes: readonly string[];
  scans: ScanLabel[];
  failed: FailedScan[];
}

export interface RunScans {
  /** What the file of probabilities of this member must list, in this order. */
  of(member: string, split: 'val' | 'test'): ExpectedScans;
  /** The split that submissions name: `val` if the data set has no test scans. */
  splitToSubmit: 'val' | 'test';
  /** The scans that are in folds, in the run's order, with their folds; empty if members are not trained by fold. */
  inFolds: FoldedScan[];
  /** scans.msgpack: the scans by the members that see the same volumes. */
  groups: MemberScans[];
  dataset: DatasetRecord;
}

/** A scan that is in a fold, named among the scans of all folds. */
export interface FoldedScan extends ScanLabel {
  /** From 1. */
  fold: number;
}

/**
 * Reads the run's list of scans. The truth is scans.msgpack, from which the members were trained: plan.json holds a digest
 * of its keys, labels and volumes, and dataset.json, written beside it, must have the same scans.
 * @throws UserError if the three files are not those of one run; it names the file, the first ten differing scans and the
 * remedy.
 */
export async function readRunScans(run: string, plan: Plan): Promise<RunScans> {
  const file = scansFile(run);
  const remedy = 'start the training of this run again with its data set, which writes the file anew';
  const refuse = (file: string, problem: string): never => {
    throw new UserError(problem, { file, remedy });
  };
  const groups = await readAllScans(run);
  const dataset =
    (await readRecord(datasetFile(run), { schema: datasetSchema, remedy })) ??
    refuse(datasetFile(run), 'the file is missing');

  const { classes } = plan.dataset;
  if (dataset.classes.join('\n') !== classes.join('\n')) {
    const [theirs, ours] = [dataset.classes.join(', '), classes.join(', ')];
    refuse(datasetFile(run), `has the classes ${theirs}, but plan.json has ${ours}`);
  }
  const [{ scans }] = groups as [(typeof groups)[number]];
  const others = differences(scans, dataset.scans, classes);
  if (digestOf(groups) !== plan.dataset.digest) {
    const against = others === undefined ? '' : `; dataset.json differs from it: ${others}`;
    refuse(file, `the digest of its keys, labels and volumes is not the one in plan.json${against}`);
  }
  if (others !== undefined) refuse(datasetFile(run), `its scans are not those of scans.msgpack: ${others}`);
  // The scans of members with other masks differ in their volumes, and in which could be prepared.
  const identity = (scan: StoredScan) => ({ ...scan, volume: true });
  for (const group of groups.slice(1)) {
    const others = differences(scans.map(identity), group.scans.map(identity), classes);
    if (others !== undefined)
      refuse(file, `the scans of ${group.members.join(', ')} are not those of the other members: ${others}`);
  }
  for (const split of ['train', 'val', 'test'] as const) {
    const usable = scans.filter((scan) => scan.split === split && scan.volume !== null).length;
    const planned = plan.dataset.scans[split];
    if (usable !== planned)
      refuse(file, `has ${usable} usable scans of split ${split}, but plan.json says ${planned}`);
  }
  const unlisted = plan.members.find(({ name }) => !groups.some(({ members }) => members.includes(name)));
  if (unlisted !== undefined) refuse(file, `has no scans of the member ${unlisted.name}`);

  const foldIn = (name: string) => groups.find(({ members }) => members.includes(name))!.folds?.[name];
  const otherFold = plan.members.find(({ name, fold }) => foldIn(name) !== fold);
  if (otherFold !== undefined)
    refuse(file, `has another fold of the member ${otherFold.name} than plan.json`);
  const inFolds = scans.filter(({ fold }) => fold);
  const names = developmentNames(inFolds);

  /** Members with the same volumes and the same fold share their lists. */
  const known = new Map<string, ExpectedScans>();
  return {
    of(member, split) {
      const group = groups.findIndex(({ members }) => members.includes(member));
      const key = JSON.stringify([group, groups[group]?.folds?.[member] ?? null, split]);
      const before = known.get(key);
      if (before !== undefined) return before;
      const expected = asProbabilities([], { split, scans: scansOf(groups, { run, member }), classes });
      known.set(key, expected);
      return expected;
    },
    splitToSubmit: scans.some(({ split }) => split === 'test') ? 'test' : 'val',
    inFolds: inFolds.map(({ key, label, fold }, i) => ({ key, name: names[i]!, label, fold: fold! })),
    groups,
    dataset,
  };
}

/**
 * Checks that probabilities are those of the run's scans: the same split, classes in the same order, and the same scans
 * with the same names, labels and order; scans without a volume are the failed ones.
 * @throws UserError that names the file, the first ten differing scans and the remedy.
 */
export function requireRunScans(p: Probabilities, expected: ExpectedScans, file: string) {
  const refuse = (problem: string): never => {
    throw new UserError(problem, { file, remedy: predictAnew });
  };
  if (p.split !== expected.split) refuse(`says split ${p.split}, not ${expected.split}`);
  if (p.classes.join('\n') !== expected.classes.join('\n'))
    refuse(`has the classes ${p.classes.join(', ')}; those of the run are ${expected.classes.join(', ')}`);
  const listed = ({ scans, failed }: Pick<ExpectedScans, 'scans' | 'failed'>): Compared[] => [
    ...scans.map(({ key, name, label }) => ({ key, name, label, volume: true })),
    ...failed.map(({ key, name, label }) => ({ key, name, label, volume: false })),
  ];
  const others = differences(listed(expected), listed(p), expected.classes);
  if (others !== undefined) refuse(`its scans are not those of this run: ${others}`);
}

interface Compared {
  key: string;
  name: string;
  label: number | null;
  split?: string;
  /** False or null: the scan failed. Volumes themselves are not compared. */
  volume: unknown;
}

/** How the second list differs from the first: for each kind of difference the first ten scans. */
function differences(
  expected: readonly Compared[],
  found: readonly Compared[],
  classes: readonly string[],
): string | undefined {
  const theirs = new Map(found.map((scan) => [scan.key, scan]));
  const known = new Set(expected.map(({ key }) => key));
  const pairs = expected.flatMap((scan) => {
    const other = theirs.get(scan.key);
    return other === undefined ? [] : [{ scan, other }];
  });
  const className = (label: number | null) =>
    label === null ? 'no class' : (classes[label] ?? `class ${label}`);
  const failed = ({ volume }: Compared) => volume === null || volume === false;
  const differing = (text: (pair: (typeof pairs)[number]) => string | undefined) =>
    pairs.map(text).filter((each) => each !== undefined);
  const problems = [
    list(
      'missing scans',
      expected.filter(({ key }) => !theirs.has(key)).map(({ key }) => key),
    ),
    list(
      'unknown scans',
      found.filter(({ key }) => !known.has(key)).map(({ key }) => key),
    ),
    list('doubled scans', doubled(found.map(({ key }) => key))),
    list(
      'other names',
      differing(({ scan, other }) =>
        scan.name === other.name ? undefined : `${scan.key} is named ${other.name}, not ${scan.name}`,
      ),
    ),
    list(
      'other labels',
      differing(({ scan, other }) =>
        scan.label === other.label
          ? undefined
          : `${scan.key} has ${className(other.label)}, not ${className(scan.label)}`,
      ),
    ),
    list(
      'other splits',
      differing(({ scan, other }) =>
        scan.split === other.split ? undefined : `${scan.key} is in ${other.split}, not in ${scan.split}`,
      ),
    ),
    list(
      'failed scans that are listed as usable',
      differing(({ scan, other }) => (failed(scan) && !failed(other) ? scan.key : undefined)),
    ),
    list(
      'usable scans that are listed as failed',
      differing(({ scan, other }) => (!failed(scan) && failed(other) ? scan.key : undefined)),
    ),
  ].filter((problem) => problem !== undefined);
  if (problems.length > 0) return problems.join('; ');
  const moved = expected.filter(({ key }, i) => found[i]?.key !== key).map(({ key }) => key);
  return list('scans in another order', moved);
}
