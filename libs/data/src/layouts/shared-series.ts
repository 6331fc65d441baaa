// Scans that hold parts of one DICOM series: on discs a series may be spread over several folders.
import { dirname } from 'node:path';
import { mapConcurrent } from '../concurrent.ts';
import { listed, type Finding } from '../findings.ts';
import type { ScanEntry } from '../scan-entry.ts';
import { beginningOf } from './beginning.ts';
import { seriesOf } from '../readers/dicom/dicom-dataset.ts';
import { addToGroup } from '../lists.ts';

/** SeriesInstanceUID stands among the first elements of a file. */
const HEADER_BYTES = 1 << 16;

/** One finding for each SeriesInstanceUID that the first files of several DICOM scans have. */
export async function sharedSeries(scans: readonly ScanEntry[]): Promise<Finding[]> {
  const dicom = scans.filter(({ format, slices }) => format === 'dicom' && slices.length > 0);
  const series = await mapConcurrent(dicom, 16, ({ slices }) => seriesOfFile(slices[0]!));
  const bySeries = new Map<string, ScanEntry[]>();
  for (const [i, uid] of series.entries()) if (uid !== null) addToGroup(bySeries, uid, dicom[i]!);
  return [...bySeries].flatMap(([uid, members]): Finding[] => {
    if (members.length < 2) return [];
    const names = listed(members.map(({ key, slices }) => `${key} (${slices.length} files)`));
    const message = `the scans ${names} are of one DICOM series, ${uid}: put its files into one folder, or remove the copies`;
    return [{ kind: 'series-in-several-scans', path: dirname(members[0]!.slices[0]!), message }];
  });
}

/** Null if the file cannot be read or states none. */
async function seriesOfFile(path: string): Promise<string | null> {
  const bytes = await beginningOf(path, HEADER_BYTES);
  if (bytes === null) return null;
  try {
    return seriesOf(bytes);
  } catch {
    return null; // preparation reports a file that cannot be understood
  }
}
