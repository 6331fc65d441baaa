// Scans that hold parts of one DICOM series: on discs a series may be spread over several folders.
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { mapConcurrent } from '../concurrent.ts';
import { listed, type Finding } from '../findings.ts';
import type { ScanEntry } from '../scan-entry.ts';
import { seriesOf } from '../readers/dicom/dicom-dataset.ts';

/** SeriesInstanceUID stands among the first elements of a file. */
const HEADER_BYTES = 1 << 16;

/** One finding for each SeriesInstanceUID that the first files of several DICOM scans have. */
export async function sharedSeries(scans: readonly ScanEntry[]): Promise<Finding[]> {
  const dicom = scans.filter(({ format, slices }) => format === 'dicom' && slices.length > 0);
  const series = await mapConcurrent(dicom, 16, ({ slices }) => seriesOfFile(slices[0]!));
  const bySeries = new Map<string, ScanEntry[]>();
  for (const [i, uid] of series.entries())
    if (uid !== null) bySeries.set(uid, [...(bySeries.get(uid) ?? []), dicom[i]!]);
  return [...bySeries].flatMap(([uid, members]): Finding[] => {
    if (members.length < 2) return [];
    const names = listed(members.map(({ key, slices }) => `${key} (${slices.length} files)`));
    const message = `the scans ${names} are of one DICOM series, ${uid}: put its files into one folder, or remove the copies`;
    return [{ kind: 'series-in-several-scans', path: dirname(members[0]!.slices[0]!), message }];
  });
}

/** Null if the file cannot be read or states none. */
async function seriesOfFile(path: string): Promise<string | null> {
  const handle = await open(path).catch(() => null); // preparation reports a file that cannot be read
  if (handle === null) return null;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
    return seriesOf(buffer.subarray(0, bytesRead));
  } catch {
    return null;
  } finally {
    await handle.close();
  }
}
