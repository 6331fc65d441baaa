// What is known of a finished or unfinished run, for programs that evaluate it in their own way: the plan, the checked
// probabilities, how each member was trained, and the scans with their patients and folds.
import { codeOf, MAX_BYTES, readRegularText, UserError } from '@ct-ensemble/core';
import { mapConcurrent } from '@ct-ensemble/data';
import { parse } from 'csv-parse/sync';
import { z } from 'zod';
import { readRecord } from '../json-record.ts';
import { type Plan, readPlan } from '../run/plan.ts';
import { datasetFile, splitsFile } from '../run-folder.ts';
import { type ConfigRecord, type DoneRecord, readAllScans, readConfig, readDone } from '../run-records.ts';
import { readFailed } from '../run-status.ts';
import { type EpochLine, readHistory } from '../watching/history.ts';
import { findingsIn, readMembers, type RunMembers } from './members.ts';
import { type RunScans, readRunScans } from './run-scans.ts';

const reportSchema = z.looseObject({
  counts: z
    .record(z.string(), z.looseObject({ perClass: z.array(z.int()), unlabelled: z.int(), failed: z.int() }))
    .default({}),
  findings: z.array(z.looseObject({ kind: z.string(), path: z.string(), message: z.string() })).default([]),
  scans: z.array(
    z.looseObject({
      key: z.string(),
      group: z.string().nullable().optional(),
      groups: z.record(z.string(), z.string()).optional(),
    }),
  ),
});

export interface MemberResults {
  name: string;
  done: DoneRecord | null;
  config: ConfigRecord | null;
  /** As far as the lines of history.jsonl are complete and in order. */
  history: EpochLine[];
  /** Why the training failed; null if it did not. */
  failure: string | null;
}

export interface RunResults {
  plan: Plan;
  scans: RunScans;
  /** With the probabilities of both splits. */
  members: RunMembers;
  /** One for each member of the plan, in order. */
  training: MemberResults[];
  /** Patient of each scan by key; scans without one are absent. */
  patients: ReadonlyMap<string, string>;
  /** Group of each scan by key (site, scanner); scans without one are absent. */
  groups: ReadonlyMap<string, string>;
  /** Groups of each scan by key, by the names of their columns: `group`, and further columns of the table of scans. */
  groupColumns: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** Content key of each prepared scan's volume in the store, of the first mask if members have their own. */
  volumes: ReadonlyMap<string, string>;
  /** Counts by split, and what was found in the data. */
  dataset: Pick<z.infer<typeof reportSchema>, 'counts' | 'findings'>;
  /** Doubtful things about the run's files, one line each. */
  findings: string[];
}

/**
 * Reads everything that evaluates a run.
 * @throws {UserError} if there is no run, its list of scans is not consistent, or a record is damaged. A damaged file of
 * probabilities is no error: its member is in `members.unusable`.
 */
export async function readRunResults(run: string): Promise<RunResults> {
  const plan = await readPlan(run);
  const scans = await readRunScans(run, plan);
  const members = await readMembers(run, plan, { scans, splits: ['val', 'test'] });
  const findings = findingsIn(members.usable);
  const training = await mapConcurrent(plan.members, 16, ({ name }) => memberResults(run, name));
  const { scans: listed, ...dataset } = (await readRecord(datasetFile(run), {
    schema: reportSchema,
    remedy: 'start the training of this run again with its data set, which writes the file anew',
  }))!;
  return {
    plan,
    scans,
    members,
    training,
    patients: await readPatients(run),
    groups: new Map(listed.flatMap(({ key, group }) => (group ? [[key, group] as const] : []))),
    groupColumns: new Map(
      listed.map(({ key, group, groups }) => [key, { ...(group && { group }), ...groups }]),
    ),
    volumes: new Map(
      (await readAllScans(run))[0]!.scans.flatMap(({ key, volume }) =>
        volume === null ? [] : [[key, volume] as const],
      ),
    ),
    dataset,
    findings,
  };
}

async function memberResults(run: string, name: string): Promise<MemberResults> {
  return {
    name,
    // A damaged done.json makes the member unusable, which `readMembers` has reported.
    done: (await readDone(run, name).catch(unlessUserError)) ?? null,
    config: (await readConfig(run, name)) ?? null,
    history: await readHistory(run, name),
    // A failed.json that cannot be read is no reason to report nothing.
    failure: (await readFailed(run, name).catch(unlessUserError))?.reason ?? null,
  };
}

/** Patients by the keys of scans, from splits.csv; empty in runs of earlier versions, which have no such file. */
async function readPatients(run: string): Promise<Map<string, string>> {
  const file = splitsFile(run);
  const text = await textIfPresent(file);
  if (text === undefined) return new Map();
  try {
    const rows: Record<string, string>[] = parse(text, { columns: true, bom: true, skip_empty_lines: true });
    return new Map(rows.flatMap(({ scan, patient }) => (scan && patient ? [[scan, patient] as const] : [])));
  } catch (cause) {
    throw new UserError('is no table of scans', {
      file,
      remedy: 'start the training of this run again, which writes the file anew',
      cause,
    });
  }
}

async function textIfPresent(file: string): Promise<string | undefined> {
  try {
    return await readRegularText(file, { maxBytes: MAX_BYTES.table });
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function unlessUserError(error: unknown): undefined {
  if (!(error instanceof UserError)) throw error;
}
