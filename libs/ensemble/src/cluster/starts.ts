// starts.jsonl: the starts of a member as a job of a cluster, and the checkpoint that each one found. Starts that make no progress
// are counted by it.
import { hostname } from 'node:os';
import { codeOf, readRegularText, writeFileAtomic } from '@ct-ensemble/core';
import { type CheckpointPlace, lastCheckpointPlace } from '@ct-ensemble/training';
import { z } from 'zod';
import { memberFolder, startsFile } from '../run-folder.ts';
import { readFailed } from '../run-status.ts';
import type { ClusterJob } from './job.ts';

const startSchema = z.object({
  /** ISO 8601. */
  time: z.string(),
  host: z.string(),
  /** Such as `12_3`; null outside of a job. */
  job: z.string().nullable(),
  restart: z.int().nonnegative(),
  /** Finished epochs, and finished steps of the next one, of the last checkpoint at this start; null: there was none. */
  checkpoint: z.object({ epoch: z.int(), step: z.int() }).nullable(),
  /** The member had failed before: the starts without progress are counted anew. */
  afterFailure: z.boolean(),
});

/** A line of a member's starts.jsonl. */
export type MemberStart = z.infer<typeof startSchema>;

/** The starts of a member on a cluster, in their order; lines that are damaged are left out. */
export async function readStarts(run: string, member: string): Promise<MemberStart[]> {
  const text = await readRegularText(startsFile(run, member)).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  });
  return text.split('\n').flatMap((line) => {
    try {
      return [startSchema.parse(JSON.parse(line))];
    } catch {
      return [];
    }
  });
}

/** Adds this start to starts.jsonl. Returns all starts with it. */
export async function noteStart(
  run: string,
  member: string,
  job: ClusterJob | undefined,
): Promise<MemberStart[]> {
  const start: MemberStart = {
    time: new Date().toISOString(),
    host: hostname(),
    job: job?.name ?? null,
    restart: job?.restarts ?? 0,
    checkpoint: (await lastCheckpointPlace(memberFolder(run, member))) ?? null,
    afterFailure: (await readFailed(run, member).catch(() => null)) !== undefined,
  };
  const starts = [...(await readStarts(run, member)), start];
  await writeFileAtomic(startsFile(run, member), starts.map((each) => `${JSON.stringify(each)}\n`).join(''));
  return starts;
}

/** How many starts in a row before the last one found the same checkpoint as that, and so made no progress. */
export function idleStarts(starts: readonly MemberStart[]): number {
  const last = starts.at(-1);
  if (last === undefined) return 0;
  let idle = 0;
  while (idle < starts.length - 1) {
    // The start after this one began to count anew.
    if (starts.at(-1 - idle)!.afterFailure) break;
    if (!isSame(starts.at(-2 - idle)!.checkpoint, last.checkpoint)) break;
    idle++;
  }
  return idle;
}

const isSame = (a: CheckpointPlace | null, b: CheckpointPlace | null) =>
  a?.epoch === b?.epoch && a?.step === b?.step;
