// history.jsonl: one line for each epoch, made of the state in the checkpoint and of the durations, which only this file keeps.
import { readRegularText, writeFileAtomic } from '@ct-ensemble/core';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** How long an epoch took; null if the line that said so was lost. */
export interface Durations {
  /** Seconds of training and validation. */
  seconds: number | null;
  /** Part of `seconds`: how long steps waited for samples to be read. */
  waited: number | null;
}

export const UNKNOWN: Durations = { seconds: null, waited: null };

const lineSchema = z.object({
  epoch: z.int(),
  loss: z.number(),
  seconds: z.number().nullable().default(null),
  waited: z.number().nullable().default(null),
});

export const historyFile = (folder: string) => join(folder, 'history.jsonl');

/**
 * The durations of these epochs, as far as the file has lines of the same epoch and loss. Other lines are of another training or
 * of epochs that are trained again; lines that cannot be read only lose their durations.
 */
export async function readDurations(
  folder: string,
  history: readonly { epoch: number; loss: number }[],
): Promise<Durations[]> {
  const file = historyFile(folder);
  const text = existsSync(file) ? await readRegularText(file) : '';
  const lines = text.split('\n').flatMap((line) => {
    const parsed = lineSchema.safeParse(valueOf(line));
    return parsed.success ? [parsed.data] : [];
  });
  return history.map(({ epoch, loss }) => {
    const found = lines.find((line) => line.epoch === epoch && line.loss === loss);
    return found === undefined ? UNKNOWN : { seconds: found.seconds, waited: found.waited };
  });
}

/** Seconds of each finished epoch in the file; null where they were lost, nothing without a file or after a line that is no epoch. */
export async function readEpochSeconds(folder: string): Promise<(number | null)[]> {
  const file = historyFile(folder);
  if (!existsSync(file)) return [];
  const seconds: (number | null)[] = [];
  for (const line of (await readRegularText(file)).split('\n')) {
    const parsed = lineSchema.safeParse(valueOf(line));
    if (!parsed.success) break;
    seconds.push(parsed.data.seconds);
  }
  return seconds;
}

/** The content of history.jsonl. */
export function historyText(history: readonly object[], durations: readonly Durations[]): string {
  return history
    .map((record, i) => `${JSON.stringify({ ...record, ...(durations[i] ?? UNKNOWN) })}\n`)
    .join('');
}

/** Writes a file unless it has this content already. */
export async function writeIfChanged(file: string, content: string) {
  if (existsSync(file) && (await readRegularText(file)) === content) return;
  await writeFileAtomic(file, content);
}

function valueOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
