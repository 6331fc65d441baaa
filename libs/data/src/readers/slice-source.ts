// The slices of one scan, whatever its files are, decoded when they are asked for.
import { readFile } from 'node:fs/promises';
import { codeOf, messageOf, UserError } from '@ct-ensemble/core';
import { mapConcurrent } from '../concurrent.ts';
import type { ScanEntry } from '../scan-entry.ts';
import { listed } from '../findings.ts';
import { readNifti } from './nifti/nifti.ts';
import { greyOf, type Scan } from '../scan.ts';
import { decodeSlice, type DecodedSlice } from './images/slices.ts';

/** A slice file in memory; without bytes where it cannot be read. */
export interface SliceFile {
  bytes: Uint8Array | null;
  /** Why it cannot be read. */
  problem: string | null;
  /** SHA-256 of the bytes, once it is known. */
  digest?: string;
}

/** A finding about slices by their position in the scan, so that it holds wherever the same bytes lie. */
export interface SliceFinding {
  kind: string;
  /** Positions among the scan's slices; none where it is about the scan as a whole. */
  slices: number[];
  message: string;
}

export interface SliceSource {
  count: number;
  /** What is odd about the files. */
  findings: SliceFinding[];
  /** Throws an Error with the reason where the slice cannot be decoded. */
  decode(slice: number): Promise<DecodedSlice>;
}

export function readSliceFiles(paths: readonly string[]): Promise<SliceFile[]> {
  return mapConcurrent(paths, 8, async (path) => {
    try {
      return { bytes: await readFile(path), problem: null };
    } catch (error) {
      return { bytes: null, problem: `cannot be read (${codeOf(error) ?? messageOf(error)})` };
    }
  });
}

/**
 * The slices of a scan. Of several DICOM series the one with the most slices is taken.
 * @throws {UserError} for a DICOM series or NIfTI file that cannot be read.
 */
export async function openSlices(
  { format, slices }: Pick<ScanEntry, 'format' | 'slices'>,
  files: readonly SliceFile[],
): Promise<SliceSource> {
  if (format === 'images') return imageSlices(files);
  if (format === 'nifti') {
    const { bytes, problem } = files[0]!;
    if (bytes === null)
      throw new UserError(problem ?? 'cannot be read', { file: slices[0]!, remedy: 'make it readable' });
    return scanSlices(await readNifti(slices[0]!, bytes), []);
  }
  const unread = files.flatMap(({ problem }, i) =>
    problem === null ? [] : [{ kind: 'undecodable-slice', slices: [i], message: `left out: ${problem}` }],
  );
  const whole = files.flatMap(({ bytes }, i) => (bytes === null ? [] : [{ path: slices[i]!, bytes }]));
  const { readDicomSeries } = await import('./dicom/dicom.ts'); // its decoders take a fifth of a second to load
  const series = await readDicomSeries(whole);
  const [longest, ...others] = [...series].sort((a, b) => b.slices.length - a.slices.length);
  const sizes = listed(series.map(({ slices }) => slices.length));
  const message = `holds ${series.length} series, of ${sizes} slices; taken is the longest, ${longest!.series ?? 'without a UID'}`;
  const several = others.length > 0 ? [{ kind: 'several-series', slices: [], message }] : [];
  return scanSlices(longest!, [...unread, ...several]);
}

function imageSlices(files: readonly SliceFile[]): SliceSource {
  return {
    count: files.length,
    findings: [],
    async decode(slice) {
      const { bytes, problem } = files[slice]!;
      if (bytes === null) throw new Error(problem ?? 'cannot be read');
      return decodeSlice(bytes);
    },
  };
}

/** Hounsfield units become grey by `greyOfHU`. */
function scanSlices(scan: Scan, findings: SliceFinding[]): SliceSource {
  return {
    count: scan.slices.length,
    findings: [...findings, ...scan.findings.map(({ kind, message }) => ({ kind, slices: [], message }))],
    decode: async (slice) => ({ image: greyOf(scan.slices[slice]!), loss: null }),
  };
}
