// Names that people type: which are safe as file and folder names, and what a mistyped one may have meant.
import { distance } from 'fastest-levenshtein';

/** What `isSafeName` asks for, to be said in an error. */
export const safeNameRule = 'letters, digits, ".", "_" and "-", starting with a letter or digit, 64 at most';

/** Whether a name can be a file or folder name on every system. */
export function isSafeName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name) && !name.endsWith('.');
}

/** ` (did you mean "x"?)` when a candidate is near the word, else an empty text. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[-_. ]/g, '');
  const near = candidates
    .map((candidate) => ({ candidate, edits: distance(plain(word), plain(candidate)) }))
    .filter(({ candidate, edits }) => edits < candidate.length && edits <= Math.max(2, candidate.length / 3))
    .sort((a, b) => a.edits - b.edits)[0];
  return near === undefined ? '' : ` (did you mean "${near.candidate}"?)`;
}
