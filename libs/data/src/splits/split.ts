// The three splits of a data set, and the words that folders and tables use for them.

export type Split = 'train' | 'val' | 'test';

export const SPLITS: readonly Split[] = ['train', 'val', 'test'];

const SPLIT_NAMES: ReadonlyMap<string, Split> = new Map([
  ['train', 'train'],
  ['training', 'train'],
  ['val', 'val'],
  ['valid', 'val'],
  ['validation', 'val'],
  ['test', 'test'],
  ['testing', 'test'],
]);

/** The split that a word stands for: `validation`, `Val`, `TRAIN`, …; else undefined. */
export function splitOf(word: string): Split | undefined {
  return SPLIT_NAMES.get(plainSpelling(word));
}

/** Lower case, without `-`, `_` and spaces. */
export function plainSpelling(word: string): string {
  return word.toLowerCase().replace(/[-_\s]/g, '');
}

/** Whether the folders of a data set are its splits: one is named train or val, or all are named like splits. */
export function hasSplitFolders(folders: readonly string[]): boolean {
  const splits = folders.map(splitOf);
  return (
    splits.some((split) => split === 'train' || split === 'val') ||
    (splits.length > 0 && splits.every((split) => split !== undefined))
  );
}
