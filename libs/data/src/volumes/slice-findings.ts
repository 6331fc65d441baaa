// Findings about slices by position: how they become findings about files, and the one about repeated slices.
import { basename, dirname } from 'node:path';
import { listed, type Finding } from '../findings.ts';
import type { SliceFile, SliceFinding } from '../readers/slice-source.ts';
import type { ScanEntry } from '../scan-entry.ts';
import { digestOf } from './content-key.ts';

/**
 * Findings that name positions, as findings that name files. A finding about one slice has that slice's file as its
 * path; any other has the scan's folder, and the message lists the files' names.
 */
export function findingsByFile(
  findings: readonly SliceFinding[],
  scan: Pick<ScanEntry, 'key' | 'slices'>,
): Finding[] {
  const folder = scan.slices[0] === undefined ? scan.key : dirname(scan.slices[0]);
  return findings.map(({ kind, slices, message }) => {
    const paths = slices.map((i) => scan.slices[i] ?? `slice ${i}`);
    if (paths.length === 1) return { kind, path: paths[0]!, message };
    const names = paths.map((path) => basename(path));
    return { kind, path: folder, message: names.length === 0 ? message : `${message}: ${listed(names)}` };
  });
}

/** One finding that lists the slices whose bytes equal those of an earlier slice; none if there is no such slice. */
export function duplicateSlices(files: readonly SliceFile[]): SliceFinding[] {
  const seen = new Set<string>();
  const repeats = files.flatMap((file, i) => {
    const digest = digestOf(file);
    if (digest === null || file.bytes!.length === 0) return [];
    const isRepeat = seen.has(digest);
    seen.add(digest);
    return isRepeat ? [i] : [];
  });
  const message = 'same bytes as an earlier slice of the scan, kept';
  return repeats.length > 0 ? [{ kind: 'duplicate-slices', slices: repeats, message }] : [];
}
