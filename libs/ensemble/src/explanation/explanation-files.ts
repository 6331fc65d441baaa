// Explanations as files: the picture and the scores of a scan, side by side in one folder.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  codeOf,
  MAX_BYTES,
  messageOf,
  readJson,
  readRegularFile,
  UserError,
  writeFileAtomic,
  writeJson,
} from '@ct-ensemble/core';
import { CAM_METHODS } from '@ct-ensemble/models';
import { z } from 'zod';
import type { ScanExplanation } from './explanation.ts';

const numbers = z.array(z.number());
const explanationSchema = z.looseObject({
  scan: z.string().min(1),
  split: z.string(),
  label: z.string().nullable(),
  classes: z.array(z.string()),
  explained: z.string(),
  probabilities: numbers,
  method: z.enum(CAM_METHODS),
  slices: z.array(
    z.looseObject({
      position: z.int(),
      file: z.string().nullable(),
      score: z.number(),
      places: z.array(z.int()),
    }),
  ),
  members: z.array(
    z.looseObject({
      member: z.string(),
      probabilities: numbers,
      logits: numbers,
      trainedOn: z.boolean(),
      placeScores: numbers,
    }),
  ),
});

/** Folder of a run in which its explanations are looked for. */
export const explanationsFolder = (run: string) => join(run, 'explanations');

/** An explanation with its picture, see `drawScanExplanation`. */
export interface StoredExplanation {
  explanation: ScanExplanation;
  png: Uint8Array;
}

/** Writes `file`.json and `file`.png; `file` has no ending. */
export async function writeExplanation(file: string, { explanation, png }: StoredExplanation): Promise<void> {
  await writeFileAtomic(`${file}.png`, png);
  await writeJson(`${file}.json`, explanation);
}

/**
 * Reads all explanations of a folder, in the order of the files' names. `problems` has a line for each file that is no explanation. A folder that
 * is not there has none.
 */
export async function readExplanations(
  folder: string,
): Promise<{ explanations: StoredExplanation[]; problems: string[] }> {
  const explanations: StoredExplanation[] = [];
  const problems: string[] = [];
  for (const name of (await namesIn(folder)).filter((each) => each.endsWith('.json')).sort()) {
    const file = join(folder, name);
    try {
      const read = explanationSchema.safeParse(await readJson(file));
      if (!read.success) {
        const [issue] = read.error.issues;
        problems.push(`${file}: is no explanation: ${issue!.path.join('.')}: ${issue!.message}`);
        continue;
      }
      const png = await readRegularFile(file.replace(/\.json$/, '.png'), { maxBytes: MAX_BYTES.record });
      explanations.push({ explanation: read.data, png });
    } catch (error) {
      if (!(error instanceof UserError) && codeOf(error) === undefined) throw error;
      problems.push(messageOf(error));
    }
  }
  return { explanations, problems };
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
