// What is known of a finished or unfinished run, for programs that evaluate it in their own way: the plan, the checked
// probabilities, how each member was trained, and the scans with their patients and folds.
import { UserError } from '@ct-ensemble/core';
import { mapConcurrent } from '@ct-ensemble/data';
import { type Plan, readPlan } from '../run/plan.ts';
import { type ConfigRecord, type DoneRecord, readConfig, readDone } from '../run-records.ts';
import { readFailed } from '../run-status.ts';
import { type EpochLine, readHistory } from '../watching/history.ts';
import { findingsIn, readMembers, type RunMembers } from './members.ts';
import { readPatients } from './patients.ts';
import { type DatasetRecord, type RunScans, readRunScans } from './run-scans.ts';

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
  dataset: Pick<DatasetRecord, 'counts' | 'findings'>;
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
  const { scans: listed, counts, findings: found } = scans.dataset;
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
      scans.groups[0]!.scans.flatMap(({ key, volume }) => (volume === null ? [] : [[key, volume] as const])),
    ),
    dataset: { counts, findings: found },
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

function unlessUserError(error: unknown): undefined {
  if (!(error instanceof UserError)) throw error;
}
