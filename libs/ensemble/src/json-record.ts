// Reads JSON files of a run folder with a schema. Apart from run-records.ts, so that a worker that only reports loads no more than this.
import { asUserError, readJson, UserError } from '@ct-ensemble/core';
import type { z } from 'zod';

export interface RecordOptions<T> {
  schema: z.ZodType<T>;
  /** What to do about a file that is no such record. */
  remedy: string;
}

/**
 * Reads a JSON file with this schema; undefined if there is none.
 * @throws {UserError} with file, field and remedy if the file cannot be read or its content does not fit.
 */
export async function readRecord<T>(
  file: string,
  { schema, remedy }: RecordOptions<T>,
): Promise<T | undefined> {
  let content: unknown;
  try {
    content = await readJson(file);
  } catch (error) {
    throw asUserError(error, file);
  }
  return content === undefined ? undefined : fitting(content, { file, schema, remedy });
}

/** @throws {UserError} with file, field and remedy if the content does not fit. */
export function fitting<T>(content: unknown, about: RecordOptions<T> & { file: string }): T {
  const parsed = about.schema.safeParse(content);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.length ? `field ${issue.path.join('.')}: ` : '';
  throw unfit(about.file, `${field}${issue?.message}`, about.remedy);
}

export const unfit = (file: string, problem: string, remedy: string) =>
  new UserError(problem, { file, remedy });
