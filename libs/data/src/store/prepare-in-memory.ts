// One scan prepared in several ways into memory, without a store: for scans that are answered once and not kept.
import { basename, dirname, sep } from 'node:path';
import type { Finding } from '../findings.ts';
import type { ScanEntry } from '../scan-entry.ts';
import { contentKey, settingsOf } from '../volumes/content-key.ts';
import { type OpenedScan, openScan } from '../volumes/opened-scan.ts';
import type { Preparation, PreparationNetworks } from '../volumes/preparation-settings.ts';
import { prepareOpened } from '../volumes/preparation.ts';
import { duplicateSlices, findingsByFile } from '../volumes/slice-findings.ts';
import type { Volume } from '../volumes/volume.ts';
import { statisticsOf, type VolumeStatistics } from '../volumes/volume-statistics.ts';
import { type DecodeAhead, takeAhead } from './decode-ahead.ts';
import { SCAN_DEADLINE } from './prepare-dataset.ts';
import { startWorkers } from './preparation-workers.ts';

/** A scan prepared in each of the given ways. */
export interface PreparedInMemory {
  /** One volume for each preparation; empty if the preparation failed. */
  volumes: Volume[];
  /** Why there are no volumes; null if there are. Paths are relative to the folder that the scan lies in. */
  failure: string | null;
  /** Content key of the first volume: SHA-256 over the bytes of the scan's files and the settings; null if no file was read. */
  content: string | null;
  /** Number of slices that could be decoded. */
  slices: number;
  /** Those of them that the volumes may be made of. */
  kept: number;
  /** For each volume [depth], the slice that each of its slices was made of, from 0. */
  sources: number[][];
  /** Of the first volume; null if the preparation failed. */
  statistics: VolumeStatistics | null;
  /** Each `path` is the name of the file or folder, without the folders above it. */
  findings: Finding[];
}

/** Message to a worker thread. */
export interface InMemoryTask {
  scan: ScanEntry;
  preparations: readonly Preparation[];
  /** A second thread that decodes images, if one is idle. */
  ahead?: DecodeAhead;
}

/** The content key of a scan under a preparation, from the bytes of its files; null if it has no readable file. */
export async function contentOfScan(
  scan: ScanEntry,
  { preparation, networks = {} }: { preparation: Preparation; networks?: PreparationNetworks },
): Promise<string | null> {
  if (scan.failure !== null) return null;
  const { files } = await openScan(scan);
  return contentKey(files, { format: scan.format, settings: settingsOf(preparation, networks) });
}

/** Prepares a scan. Its files are read and decoded once. A scan that cannot be prepared does not throw; it has a failure. */
export async function prepareInMemory(
  scan: ScanEntry,
  {
    preparations,
    networks = {},
    ahead,
  }: Pick<InMemoryTask, 'preparations' | 'ahead'> & { networks?: PreparationNetworks },
): Promise<PreparedInMemory> {
  if (scan.failure !== null) return failedInMemory(scan, { failure: scan.failure, findings: [] });
  const opened = await openScan(scan);
  const endAhead = ahead && takeAhead(opened.files, ahead);
  try {
    return await prepareFiles(scan, opened, { preparations, networks });
  } finally {
    endAhead?.();
  }
}

async function prepareFiles(
  scan: ScanEntry,
  opened: OpenedScan,
  { preparations, networks }: { preparations: readonly Preparation[]; networks: PreparationNetworks },
): Promise<PreparedInMemory> {
  const content = contentKey(opened.files, {
    format: scan.format,
    settings: settingsOf(preparations[0]!, networks),
  });
  const result: PreparedInMemory = {
    ...failedInMemory(scan, { failure: null, findings: [] }),
    content,
  };
  const findings = [...duplicateSlices(opened.files)];
  for (const [i, preparation] of preparations.entries()) {
    const prepared = await prepareOpened(scan, opened, { preparation, networks, fingerprint: false });
    findings.push(...prepared.findings);
    if (prepared.volume === null) {
      const failure = prepared.failure ?? 'has no volume';
      return {
        ...failedInMemory(scan, { failure, findings: byName(findingsByFile(findings, scan)) }),
        content,
      };
    }
    result.volumes.push(prepared.volume);
    result.sources.push(prepared.sources);
    if (i > 0) continue;
    result.slices = prepared.decodable;
    result.kept = prepared.decodable - prepared.dropped.length;
    result.statistics = statisticsOf(prepared.volume, {
      slices: result.slices,
      kept: result.kept,
      isMasked: Boolean(preparation.mask),
    });
  }
  return { ...result, findings: byName(findingsByFile(findings, scan)) };
}

function failedInMemory(
  scan: ScanEntry,
  { failure, findings }: { failure: string | null; findings: Finding[] },
): PreparedInMemory {
  const folder = scan.slices[0] === undefined ? null : dirname(scan.slices[0]);
  const short = folder === null || failure === null ? failure : failure.replaceAll(folder + sep, '');
  return {
    volumes: [],
    failure: short,
    content: null,
    slices: 0,
    kept: 0,
    sources: [],
    statistics: null,
    findings,
  };
}

/** Equal findings of several preparations once, with names in the place of paths. */
function byName(findings: readonly Finding[]): Finding[] {
  const named = findings.map(({ kind, path, message }) => ({
    kind,
    path: basename(path),
    message: message.replaceAll(dirname(path) + sep, ''),
  }));
  return [...new Map(named.map((finding) => [JSON.stringify(finding), finding])).values()];
}

/** Prepares scans in worker threads. */
export interface Preparer {
  /** A scan that cannot be prepared does not throw; it has a failure. */
  prepare(scan: ScanEntry): Promise<PreparedInMemory>;
  close(): Promise<void>;
}

/** Starts worker threads that prepare scans in the given ways. `deadline`: seconds for each scan, default `SCAN_DEADLINE`. */
export function openPreparer({
  preparations,
  threads,
  deadline = SCAN_DEADLINE,
}: {
  preparations: readonly Preparation[];
  threads: number;
  deadline?: number;
}): Preparer {
  const workers = startWorkers<InMemoryTask, PreparedInMemory>({
    threads,
    script: 'prepare-in-memory-worker',
    failed: ({ scan }, { failure, findings }) =>
      failedInMemory(scan, { failure, findings: byName(findings) }),
  });
  let busy = 0;
  const counted = <T>(work: Promise<T>) => {
    busy++;
    return work.finally(() => busy--);
  };
  const prepare = (scan: ScanEntry) => {
    const task = { scan, preparations };
    if (scan.format !== 'images' || busy + 2 > threads) return counted(workers.prepare(task, deadline));
    const { port1, port2 } = new MessageChannel();
    const front = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    const prepared = workers.prepare({ ...task, ahead: { port: port1, front } }, deadline, [port1]);
    void counted(workers.help('decode-ahead-worker', { port: port2, front }, deadline));
    return counted(prepared);
  };
  return {
    prepare: (scan) => (scan.failure === null ? prepare(scan) : prepareInMemory(scan, { preparations })),
    close: () => workers.close(),
  };
}
