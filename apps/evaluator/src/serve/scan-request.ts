// One request to answer a scan: saves its body, unpacks it, finds the scan in it, waits for the device and answers.
import type { IncomingMessage } from 'node:http';
import { join, sep } from 'node:path';
import { rename } from 'node:fs/promises';
import { messageOf, UserError } from '@ct-ensemble/core';
import { type Answered, type Ensemble, findScans, type ScanEntry } from '@ct-ensemble/ensemble';
import { unpack } from './archive.ts';
import { BODY_KINDS, bodyTooLarge, kindOfBody, saveBody } from './body.ts';
import { requireModestClaims } from './claims.ts';
import { RequestProblem, unreadable } from './problems.ts';
import type { Turns } from './turns.ts';
import type { RequestFolder } from './work-folder.ts';

/** Bounds of one request: bytes and seconds. */
export interface RequestLimits {
  body: number;
  unpacked: number;
  upload: number;
  /** Seconds without a byte during an upload. */
  idle: number;
  request: number;
}

/** What the log says of a request that was let in; no part of it comes from the scan. */
export interface RequestRecord {
  bytes?: number;
  body?: string;
  waited?: number;
  predicted?: number;
}

export interface ScanRequest {
  id: string;
  folder: RequestFolder;
  limits: RequestLimits;
  alpha: number;
  record: RequestRecord;
  /** Aborted when the request is out of time, its client has gone, or the server ends. */
  signal: AbortSignal;
  /** Called when the body is wanted: a client may have asked for this before sending it. */
  onWanted(): void;
}

/** Content types under which a scan never comes. */
const WRONG_TYPES = /^(?:multipart\/|text\/|application\/(?:json|xml)\b|image\/)/i;

/** @throws {RequestProblem} 411, 413 or 415, if the headers already show that the body cannot be taken. */
export function requireBody({ headers }: IncomingMessage, limit: number) {
  const length = headers['content-length'];
  if (length === undefined && headers['transfer-encoding'] === undefined)
    throw new RequestProblem({ status: 411, kind: 'no-length' }, 'the request has no body', {
      field: 'Content-Length',
      remedy: 'send the scan as the body of the request',
    });
  if (Number(length) > limit) throw bodyTooLarge(limit);
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding.toLowerCase() !== 'identity') throw wrongType('Content-Encoding', 'the body is encoded');
  const type = headers['content-type'] ?? '';
  if (WRONG_TYPES.test(type)) throw wrongType('Content-Type', 'the body is of a type that no scan has');
}

const wrongType = (field: string, message: string) =>
  new RequestProblem({ status: 415, kind: 'wrong-type' }, message, {
    field,
    remedy:
      'send as the body, with no form around it, a zip archive of the slices (DICOM, JPEG, PNG) or a volume file (.nii, .nii.gz, .mha, .nrrd)',
  });

/**
 * Answers the scan in the body of the request.
 * @throws {RequestProblem} for everything that the client can do something about; `ClientGone`; any other error is the server's.
 */
export async function answerScan(
  request: IncomingMessage,
  { ensemble, turns }: { ensemble: Ensemble; turns: Turns },
  options: ScanRequest,
): Promise<Answered> {
  const { id, folder, limits, record, signal, alpha } = options;
  const body = join(folder.path, 'body');
  const reserve = (bytes: number) => folder.reserve(bytes);
  options.onWanted();
  record.bytes = await saveBody(request, body, {
    limit: limits.body,
    idle: limits.idle,
    time: limits.upload,
    reserve,
    signal,
  });
  if (record.bytes === 0)
    throw new RequestProblem({ status: 400, kind: 'empty-body' }, 'the body is empty', {
      remedy: 'send the scan as the body of the request',
    });
  const kind = await kindOfBody(body);
  if (kind === undefined) throw wrongType('body', 'the first bytes of the body are of no kind of scan');
  record.body = kind;
  const files = join(folder.path, 'scan');
  const path = kind === 'zip' ? files : `${files}${BODY_KINDS[kind]}`;
  if (kind === 'zip') await unpack(body, files, { limit: limits.unpacked, reserve, signal });
  else await rename(body, path);
  await requireModestClaims(folder.path, limits.unpacked);
  const withoutPaths = (text: string) => text.replaceAll(folder.path + sep, '').replaceAll(folder.path, '.');
  const { scan, findings } = await oneScan(path, withoutPaths);
  signal.throwIfAborted();
  const arrived = performance.now();
  const answer = await turns.run(async () => {
    const started = performance.now();
    record.waited = started - arrived;
    try {
      for await (const found of ensemble.predict([{ ...scan, key: id }], { alpha, signal })) return found;
    } finally {
      record.predicted = performance.now() - started;
    }
    throw new Error('the ensemble has given no answer');
  }, signal);
  if (answer.failure !== null) {
    const [message, remedy] = withoutPaths(answer.failure).split(' → ') as [string, string?];
    throw unreadable('scan-unreadable', message, {
      field: 'scan',
      remedy: remedy ?? 'send the axial series of one chest CT scan, whole',
    });
  }
  const all = [...findings, ...answer.findings];
  return { ...answer, findings: all.map(({ kind, message }) => ({ kind, message: withoutPaths(message) })) };
}

/** The only scan at a path. @throws {RequestProblem} 422 if there is none or more than one. */
async function oneScan(path: string, withoutPaths: (text: string) => string) {
  let found: Awaited<ReturnType<typeof findScans>>;
  try {
    found = await findScans(path);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw unreadable('scan-unreadable', withoutPaths(messageOf(error)));
  }
  const [scan, ...others] = found.scans as [ScanEntry, ...ScanEntry[]];
  if (others.length > 0)
    throw unreadable('several-scans', `the body holds ${others.length + 1} scans`, {
      field: 'body',
      remedy: 'send each in a request of its own',
    });
  if (scan.failure !== null)
    throw unreadable('no-scan', withoutPaths(scan.failure), {
      field: 'body',
      remedy:
        'send a zip archive of the slices of one scan (DICOM, JPEG, PNG), or a volume file (.nii, .nii.gz, .mha, .nrrd)',
    });
  return { scan, findings: found.findings.map(({ kind, message }) => ({ kind, message })) };
}
