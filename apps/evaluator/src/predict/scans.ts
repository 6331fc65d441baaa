// The scans at the paths that a user gives.
import { printError } from '@ct-ensemble/core';
import { findScans, type ScanEntry } from '@ct-ensemble/ensemble';

/** Each scan once, in the order of the paths; findings about them are printed. @throws {UserError} as `findScans`. */
export async function scansAt(paths: readonly string[]): Promise<ScanEntry[]> {
  const scans = new Map<string, ScanEntry>();
  for (const path of paths) {
    const found = await findScans(path);
    for (const { kind, path: place, message } of found.findings) printError(`${kind}: ${place}: ${message}`);
    for (const scan of found.scans) {
      if (scans.has(scan.key)) printError(`listed-twice: ${scan.key} is answered once`);
      else scans.set(scan.key, scan);
    }
  }
  return [...scans.values()];
}
