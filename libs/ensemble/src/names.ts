// Names that people choose: which are safe as file and folder names, and which known name a mistyped one is near to.
import { distance } from 'fastest-levenshtein';

/** The rule of `isSafeName`, for errors. */
export const safeNameRule = 'letters, digits, ".", "_" and "-", starting with a letter or digit, 64 at most';

/** Whether a name can be a file or folder name on every system. */
export function isSafeName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name) && !name.endsWith('.');
}

/**
 * A file name for each of these names, no two the same even where upper and lower case are one. Safe names stay as they are;
 * in others every run of other characters becomes `_`, and names that are then the same get `_2`, `_3`, …
 */
export function safeFileNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  const files = new Map<string, string>();
  const take = (name: string, wanted: string) => {
    let file = wanted;
    for (let k = 2; taken.has(file.toLowerCase()); k++) file = `${wanted}_${k}`;
    taken.add(file.toLowerCase());
    files.set(name, file);
  };
  for (const name of names) if (isSafeName(name)) take(name, name);
  for (const name of names) if (!isSafeName(name)) take(name, madeSafe(name));
  return names.map((name) => files.get(name)!);
}

function madeSafe(name: string): string {
  const plain = name
    .replaceAll(/[^A-Za-z0-9.-]+/g, '_')
    .slice(0, 60)
    .replace(/^[^A-Za-z0-9]+/, '')
    .replace(/[._-]+$/, '');
  return plain === '' ? 'class' : plain;
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
