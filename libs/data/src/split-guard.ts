// What tells a network the answers: the same patient, files or scan in two splits. An error that names them all, or
// findings where the reader goes on knowingly.
import { UserError } from '@ct-ensemble/core';
import type { Finding } from './findings.ts';

/** In an error; findings tell all. */
const MOST_NAMED = 10;

/**
 * Throws a UserError that names what is in two splits; where that is allowed, gives a finding for each.
 */
export function tellLeaks(
  leaks: readonly string[],
  about: { kind: string; problem: string; file: string; remedy: string; allow: boolean },
): Finding[] {
  const { kind, problem, file, remedy, allow } = about;
  if (allow) return leaks.map((leak) => ({ kind, path: file, message: `${problem}: ${leak}` }));
  if (leaks.length === 0) return [];
  const more = leaks.length > MOST_NAMED ? `; and ${leaks.length - MOST_NAMED} more` : '';
  throw new UserError(`${problem}: ${leaks.slice(0, MOST_NAMED).join('; ')}${more}`, {
    file,
    remedy: `${remedy}, or go on knowingly with --allow-leaks`,
  });
}
