// The members of a run that are done, with their probabilities: checked one by one, so that one damaged file hides no other member.
import { createHash } from 'node:crypto';
import { messageOf, UserError } from '@ct-ensemble/core';
import type { Plan } from '../run/plan.ts';
import { probabilitiesFile } from '../run-folder.ts';
import { readDone } from '../run-records.ts';
import { answerScores } from '@ct-ensemble/evaluation';
import { predictions, type Probabilities, readProbabilities } from './probabilities.ts';
import { requireRunScans, type RunScans } from './run-scans.ts';

export type Split = 'val' | 'test';

/** A member that is done and whose probabilities are those of the run's scans. */
export interface UsableMember {
  name: string;
  /** Macro F1 on the validation scans as training reported it; null if it is not known. */
  macroF1: number | null;
  probabilities: Partial<Record<Split, Probabilities>>;
}

export interface UnusableMember {
  member: string;
  /** Names the file, what is wrong with it and the remedy. */
  problem: string;
}

export interface RunMembers {
  usable: UsableMember[];
  /** Members without done.json. */
  missing: string[];
  /** Members that are done, but whose files are missing, damaged or not of this run's scans. */
  unusable: UnusableMember[];
}

/** Reads what the members predicted for these splits, in the plan's order. */
export async function readMembers(
  run: string,
  plan: Plan,
  { scans, splits }: { scans: RunScans; splits: readonly Split[] },
): Promise<RunMembers> {
  const members: RunMembers = { usable: [], missing: [], unusable: [] };
  for (const { name } of plan.members) {
    try {
      const done = await readDone(run, name);
      if (done === undefined) {
        members.missing.push(name);
        continue;
      }
      const probabilities: UsableMember['probabilities'] = {};
      for (const split of splits) {
        const file = probabilitiesFile(run, name, split);
        const read = await readProbabilities(file);
        const expected = scans.of(name, split);
        requireRunScans(read, expected, file);
        // Equal by now: the members share one list of scans, so that memory does not grow with scans times members by more than the rows.
        probabilities[split] = { ...read, scans: expected.scans };
      }
      members.usable.push({ name, macroF1: done.macroF1, probabilities });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      members.unusable.push({ member: name, problem: messageOf(error) });
    }
  }
  return members;
}

/**
 * What suggests that a file of probabilities is another member's, one line each: the macro F1 of the validation scans is
 * not the one that training reported, or two members have equal probabilities. No errors: another device may round
 * otherwise, and members may be trained alike.
 */
export function findingsIn(members: readonly UsableMember[]): string[] {
  return [...members.flatMap(otherScore), ...copies(members)];
}

function otherScore({ name, macroF1, probabilities: { val } }: UsableMember): string[] {
  const now = val && macroF1OfPredicted(val);
  if (macroF1 === null || now === undefined || Math.abs(now - macroF1) < 1e-9) return [];
  const [before, after] = [macroF1, now].map((score) => (100 * score).toFixed(2));
  return [
    `${name}: training reported macro F1 ${before}, but the probabilities in val.json give ${after}: check that the file is this member's`,
  ];
}

/** Macro F1 as training computes it: over the scans that have a label and probabilities. */
function macroF1OfPredicted(p: Probabilities): number | undefined {
  const pairs = predictions(p).flatMap((predicted, i) => {
    const { label } = p.scans[i]!;
    return label === null ? [] : [{ label, predicted }];
  });
  if (pairs.length === 0) return undefined;
  const [truth, predicted] = [pairs.map(({ label }) => label), pairs.map(({ predicted }) => predicted)];
  return answerScores(truth, predicted, p.classes.length).macroF1;
}

function copies(members: readonly UsableMember[]): string[] {
  /** The first member with these rows of a split. */
  const firstWith = new Map<string, number>();
  return members.flatMap(({ name, probabilities }, i) => {
    const twins: number[] = [];
    for (const split of ['val', 'test'] as const) {
      const rows = probabilities[split]?.rows ?? [];
      if (rows.length === 0) continue;
      const key = `${split} ${digestOf(rows)}`;
      const twin = firstWith.get(key);
      if (twin === undefined) firstWith.set(key, i);
      else twins.push(twin);
    }
    if (twins.length === 0) return [];
    const twin = members[Math.min(...twins)]!;
    return [
      `${name} has the same probabilities as ${twin.name}: check that neither file is a copy of the other`,
    ];
  });
}

function digestOf(rows: Probabilities['rows']): string {
  const hash = createHash('sha256');
  for (const row of rows) hash.update(Float64Array.from(row));
  return hash.digest('base64');
}
