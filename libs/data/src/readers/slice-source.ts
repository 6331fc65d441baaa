// The slices of one scan of any format, decoded on demand.
import { stat } from 'node:fs/promises';
import { codeOf, MAX_BYTES, messageOf, readRegularFile, UserError } from '@ct-ensemble/core';
import { mapConcurrent } from '../concurrent.ts';
import type { ScanEntry } from '../scan-entry.ts';
import { listed } from '../findings.ts';
import { openImages } from './images/image-scan.ts';
import type { ValuesChoice } from './values.ts';
import { readVolumeOf } from './volume-formats.ts';
import { plausibleScan } from './voxels.ts';
import { greyOf, type GreyImage, type Scan } from '../scan.ts';
import type { DecodedSlice } from './images/slices.ts';

/** A file of a scan in memory. */
export interface SliceFile {
  /** Null if the file cannot be read. */
  bytes: Uint8Array | null;
  /** Why the file cannot be read; null if it can. */
  problem: string | null;
  /** SHA-256 of the bytes, hexadecimal, once it has been computed. */
  digest?: string;
  /** The file's slice if another thread has decoded it already, as 8-bit grey without a loss; else null. */
  decoded?: () => GreyImage | null;
}

/** A finding that names slices by position rather than by file, so that it is valid for equal files at another place. */
export interface SliceFinding {
  kind: string;
  /** Positions in the scan, the first is 0; empty if the finding is about the whole scan. */
  slices: number[];
  message: string;
}

export interface SliceSource {
  /** Number of slices. */
  count: number;
  /** Findings of reading the files, before slices are decoded. */
  findings: SliceFinding[];
  /** Decodes the slice at this position. Throws an Error with the reason if it cannot be decoded. */
  decode(slice: number): Promise<DecodedSlice>;
}

/**
 * Reads the files of one scan into memory, in the given order. A file that cannot be read does not throw: its `problem`
 * says why. Only regular files are read: JPEG and PNG files up to `MAX_BYTES.slice` each, others up to `MAX_BYTES.scan`,
 * which also bounds all files together; if they are larger together, none is read.
 */
export async function readSliceFiles(paths: readonly string[]): Promise<SliceFile[]> {
  const sizes = await mapConcurrent(paths, 16, sizeOf);
  const together = sizes.reduce((sum, size) => sum + size, 0);
  if (paths.length > 1 && together > MAX_BYTES.scan) {
    const problem = `is not read: the ${paths.length} files of the scan have ${together} bytes together, more than ${MAX_BYTES.scan}`;
    return paths.map(() => ({ bytes: null, problem }));
  }
  return mapConcurrent(paths, 8, async (path) => {
    try {
      const maxBytes = /\.(jpe?g|png)$/i.test(path) ? MAX_BYTES.slice : MAX_BYTES.scan;
      return { bytes: await readRegularFile(path, { maxBytes }), problem: null };
    } catch (error) {
      if (error instanceof UserError) return { bytes: null, problem: error.problem };
      return { bytes: null, problem: `cannot be read (${codeOf(error) ?? messageOf(error)})` };
    }
  });
}

async function sizeOf(path: string): Promise<number> {
  const stats = await stat(path).catch(() => null); // Reading it gives the reason.
  return stats?.isFile() === true ? stats.size : 0;
}

/**
 * Opens the slices of a scan. `files` are its files in memory, in the order of `slices`. DICOM scans and volumes are
 * read here, JPEG and PNG files in `decode`. `values` says what their numbers are; by default `decide` (values.ts) does. Of several DICOM series the one with the
 * most slices is used, with a finding.
 * @throws {UserError} naming the file, if a DICOM series or volume cannot be read, or it is not sure what its values are.
 */
export async function openSlices(
  { format, slices }: Pick<ScanEntry, 'format' | 'slices'>,
  files: readonly SliceFile[],
  { values }: { values?: ValuesChoice | undefined } = {},
): Promise<SliceSource> {
  if (format === 'images') return imageSlices(slices, files, values);
  if (format !== 'dicom') {
    const [header, data] = files.map(({ bytes, problem }, i) => {
      if (bytes !== null) return { path: slices[i]!, bytes };
      throw new UserError(problem ?? 'cannot be read', {
        file: slices[i]!,
        remedy: 'put a readable file in its place',
      });
    });
    return scanSlices(await readVolumeOf(format, { ...header!, ...(data && { data }) }, values), []);
  }
  const unread = files.flatMap(({ problem }, i) =>
    problem === null ? [] : [{ kind: 'undecodable-slice', slices: [i], message: `left out: ${problem}` }],
  );
  const whole = files.flatMap(({ bytes }, i) => (bytes === null ? [] : [{ path: slices[i]!, bytes }]));
  const { readChosenSeries } = await import('./dicom/dicom-values.ts'); // loading its decoders takes a fifth of a second
  const { series, offset } = await readChosenSeries(whole, values);
  const [longest, ...others] = [...series].sort((a, b) => b.slices.length - a.slices.length);
  requireSeveralSlices(longest!, { files: slices, series: series.length });
  const sizes = listed(series.map(({ slices }) => slices.length));
  const message = `holds ${series.length} series or parts of series, of ${sizes} slices; the longest is used, ${longest!.series ?? 'without a UID'}`;
  const several = others.length > 0 ? [{ kind: 'several-series', slices: [], message }] : [];
  return scanSlices(plausible(longest!, { file: slices[0]!, values, offset }), [...unread, ...several]);
}

/** Throws if only one of several files became a slice: a volume of one slice, repeated, would look like a scan. */
function requireSeveralSlices(
  { slices, findings }: Scan,
  { files, series }: { files: readonly string[]; series: number },
) {
  const notSlices = findings.some(({ kind }) => kind === 'not-axial'); // a localizer beside a single slice is sound
  if (slices.length > 1 || files.length <= 1 || (notSlices && files.length === 2)) return;
  const causes = [
    ...(series > 1
      ? [`they are of ${series} series or parts of series, of one slice each or not to be joined`]
      : []),
    ...findings.map(({ message }) => message),
  ];
  const reasons = causes.length > 0 ? `: ${listed(causes)}` : '';
  throw new UserError(`only 1 of ${files.length} DICOM files is a slice of the scan${reasons}`, {
    file: files[0]!,
    remedy: 'give one whole series, with a position for each slice',
  });
}

/** A DICOM scan by the rule of all formats for what its values are. */
function plausible(
  scan: Scan,
  { file, ...options }: { file: string; values: ValuesChoice | undefined; offset: number },
): Scan {
  try {
    return plausibleScan(scan, options);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { problem, remedy } = error;
    throw new UserError(problem, { file, ...(remedy !== undefined && { remedy }), cause: error });
  }
}

async function imageSlices(
  slices: readonly string[],
  files: readonly SliceFile[],
  values: ValuesChoice | undefined,
): Promise<SliceSource> {
  const images = await openImages(
    files.map(({ bytes }, i) => ({ path: slices[i]!, bytes })),
    values,
  );
  return {
    count: files.length,
    findings: images.findings.map(({ kind, message }) => ({ kind, slices: [], message })),
    async decode(slice) {
      const { bytes, problem, decoded } = files[slice]!;
      if (bytes === null) throw new Error(problem ?? 'cannot be read');
      return images.decode(bytes, decoded);
    },
  };
}

/** The slices of a DICOM scan or a volume; Hounsfield units become grey values by `greyOfHU`. */
function scanSlices(scan: Scan, findings: SliceFinding[]): SliceSource {
  return {
    count: scan.slices.length,
    findings: [...findings, ...scan.findings.map(({ kind, message }) => ({ kind, slices: [], message }))],
    decode: async (slice) => ({ image: greyOf(scan.slices[slice]!), loss: null }),
  };
}
