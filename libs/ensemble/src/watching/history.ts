// The curves of a member: the lines of its history.jsonl, read for display.
import { MAX_BYTES, readRegularText } from '@ct-ensemble/core';
import { historyFile } from '@ct-ensemble/training';
import { z } from 'zod';
import { memberFolder } from '../run-folder.ts';
import { type StampedFiles, stampedFiles } from './stamped-files.ts';

const epochSchema = z.object({
  /** Counts from 0. */
  epoch: z.int().nonnegative(),
  learningRate: z.number(),
  /** Mean over the epoch's samples. */
  loss: z.number(),
  /** On the validation scans; null if there are none. */
  macroF1: z.number().nullable(),
  /** Training, validation and checkpoints; null if the line with the duration was lost. */
  seconds: z.number().nullable().default(null),
});

/** One finished epoch of a member. */
export type EpochLine = z.infer<typeof epochSchema>;

/**
 * The finished epochs of a member in order; empty if the file is missing. Lines that are incomplete or out of order end the
 * list: the next start of the training writes the file anew from the checkpoint.
 */
export async function readHistory(run: string, member: string): Promise<EpochLine[]> {
  const text = await readRegularText(historyFile(memberFolder(run, member)), {
    maxBytes: MAX_BYTES.record,
  }).catch(() => '');
  const epochs: EpochLine[] = [];
  for (const line of text.split('\n')) {
    const parsed = epochSchema.safeParse(valueOf(line));
    if (!parsed.success || parsed.data.epoch !== epochs.length) break;
    epochs.push(parsed.data);
  }
  return epochs;
}

/** A history and a stamp that changes with it. */
export interface StampedHistory {
  stamp: string;
  epochs: EpochLine[];
}

/** Reads histories again only if their files have changed. */
export function historyReader(
  run: string,
  files: StampedFiles = stampedFiles(),
): (member: string) => Promise<StampedHistory> {
  return async (member) => {
    const file = historyFile(memberFolder(run, member));
    const { stamp, value: epochs = [] } = await files.get(file, () => readHistory(run, member));
    return { stamp, epochs };
  };
}

function valueOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
