// The body of a request as a file: saved while it arrives, within bounds of size and time, and recognised by its bytes.
import { createWriteStream } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { messageOf, openRegularFile } from '@ct-ensemble/core';
import { RequestProblem, tooLarge } from './problems.ts';

export interface SaveOptions {
  /** Bytes that the body may have. */
  limit: number;
  /** Seconds without a byte after which the client is too slow. */
  idle: number;
  /** Seconds for the whole body. */
  time: number;
  /** Counts bytes before they are written; throws if there is no room. */
  reserve(bytes: number): void;
  /** Ends the upload with its reason. */
  signal: AbortSignal;
}

/** The client has gone: nobody reads an answer. */
export class ClientGone extends Error {}

/**
 * Saves the body in a new file. The request is not destroyed if this fails, so that it can be answered. Returns the number of bytes.
 * @throws {RequestProblem} 413 if it is larger than the limit, 408 if it takes too long; the error of `reserve`; `ClientGone`.
 */
export function saveBody(request: IncomingMessage, file: string, options: SaveOptions): Promise<number> {
  const { limit, idle, time, reserve, signal } = options;
  const out = createWriteStream(file, { flags: 'wx', mode: 0o600 });
  return new Promise((resolve, reject) => {
    let bytes = 0;
    const slow = (what: string) =>
      fail(
        new RequestProblem({ status: 408, kind: 'upload-too-slow' }, `the upload was stopped: ${what}`, {
          remedy: 'send it over a faster connection, or have --upload-timeout raised',
        }),
      );
    const whole = setTimeout(() => slow(`it was not complete after ${time} s`), time * 1000);
    const pause = setTimeout(() => slow(`no byte arrived for ${idle} s`), idle * 1000);
    const done = () => {
      clearTimeout(whole);
      clearTimeout(pause);
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      signal.removeEventListener('abort', onAbort);
      request.on('error', () => {}); // Its connection may break while it is answered.
    };
    const fail = (error: unknown) => {
      done();
      request.pause();
      out.destroy();
      reject(error as Error);
    };
    const onData = (chunk: Buffer) => {
      bytes += chunk.length;
      pause.refresh();
      try {
        if (bytes > limit) throw bodyTooLarge(limit);
        reserve(chunk.length);
      } catch (error) {
        return fail(error);
      }
      if (!out.write(chunk)) request.pause();
    };
    const onEnd = () => {
      done();
      out.end(() => resolve(bytes));
    };
    const onClose = () => fail(new ClientGone('the connection ended before the body was complete'));
    const onAbort = () => fail(signal.reason);
    out.on('drain', () => request.resume());
    out.on('error', (error) =>
      fail(new Error(`the body cannot be saved: ${messageOf(error)}`, { cause: error })),
    );
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
  });
}

export const bodyTooLarge = (limit: number) =>
  tooLarge('body-too-large', `the body is larger than ${megabytes(limit)}`, {
    remedy: 'send one scan only, compressed, or have --max-mb raised',
  });

export const megabytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MB`;

/** What a body can be, with the ending that its file gets. */
export const BODY_KINDS = {
  zip: '.zip',
  gzip: '.nii.gz',
  nifti: '.nii',
  metaimage: '.mha',
  nrrd: '.nrrd',
  dicom: '.dcm',
} as const;
export type BodyKind = keyof typeof BODY_KINDS;

/** What a body is by its first bytes; undefined if it is nothing of these. */
export async function kindOfBody(file: string): Promise<BodyKind | undefined> {
  const bytes = await beginning(file, 512);
  const text = bytes.toString('latin1');
  if (text.startsWith('PK\x03\x04') || text.startsWith('PK\x05\x06')) return 'zip';
  if (text.startsWith('\x1f\x8b')) return 'gzip';
  if (text.slice(128, 132) === 'DICM') return 'dicom';
  if (text.startsWith('NRRD00')) return 'nrrd';
  if (bytes.length >= 4) {
    const sizes = [bytes.readInt32LE(0), bytes.readInt32BE(0)];
    if (sizes.includes(348) || sizes.includes(540)) return 'nifti';
  }
  if (/^(?:[#\s]*)(?:ObjectType|NDims|Comment)\s*=/.test(text)) return 'metaimage';
  return undefined;
}

/** The first bytes of a file. */
export async function beginning(file: string, length: number): Promise<Buffer> {
  const { handle } = await openRegularFile(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}
