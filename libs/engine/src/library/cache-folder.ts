// Who may write to the cache folder: TensorFlow is loaded from it, so whoever can replace its files can run code as the
// user who loads them.
import { lstatSync, mkdirSync, statSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { EngineError } from '../errors.ts';

/**
 * Creates the cache folder if it does not exist: for its owner alone if others may write to the folder that it is
 * created in (/tmp, a shared folder), else readable by others; never writable by others.
 */
export function createCacheFolder(folder: string) {
  let parent = dirname(folder);
  let existing = statSync(parent, { throwIfNoEntry: false });
  while (existing === undefined && parent !== dirname(parent)) {
    parent = dirname(parent);
    existing = statSync(parent, { throwIfNoEntry: false });
  }
  const isShared = ((existing?.mode ?? 0) & 0o022) !== 0;
  mkdirSync(folder, { recursive: true, mode: isShared ? 0o700 : 0o755 });
}

/**
 * @throws EngineError `cache-unsafe` if another user than this one and root owns the folder (or the symbolic link to
 *   it), or every user may write to it. Root accepts every owner.
 */
export function requireSafeFolder(folder: string) {
  const user = process.geteuid?.();
  if (user === undefined) return; // Windows
  const problem = folderProblem(statSync(folder), lstatSync(folder), user);
  if (problem === undefined) return;
  throw new EngineError('cache-unsafe', `TensorFlow is not loaded from ${folder}: ${problem.text}`, {
    remedy: `${problem.remedy}set CT_ENSEMBLE_CACHE to a folder of your own; if you trust its TensorFlow all the same, set CT_ENSEMBLE_TENSORFLOW to the folder that contains the libraries`,
  });
}

/** What is wrong with a folder's owner or mode for a user, and the start of the remedy. */
export function folderProblem(
  { uid, mode }: Pick<Stats, 'uid' | 'mode'>,
  link: Pick<Stats, 'uid'>,
  user: number,
): { text: string; remedy: string } | undefined {
  const owner = [uid, link.uid].find((id) => id !== user && id !== 0);
  if (user !== 0 && owner !== undefined) {
    return { text: `it belongs to another user (uid ${owner})`, remedy: '' };
  }
  if ((mode & 0o002) !== 0) {
    const octal = (mode & 0o7777).toString(8).padStart(4, '0');
    return { text: `every user may write to it (mode ${octal})`, remedy: 'chmod o-w that folder, or ' };
  }
  return undefined;
}

/**
 * A warning if the members of a group may write to the folder, or undefined. A group whose number is the owner's is
 * that user's private group, as Debian, Ubuntu and Fedora create it, and gives no warning.
 */
export function groupWarning(folder: string): string | undefined {
  if (process.geteuid === undefined) return undefined;
  const { mode, uid, gid } = statSync(folder);
  if ((mode & 0o020) === 0 || gid === uid) return undefined;
  return `the members of group ${gid} may replace the TensorFlow in ${folder}; chmod g-w it if they should not`;
}
