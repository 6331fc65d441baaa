// Downloads published weights from the Hugging Face hub into the cache. A broken download is resumed, and the file is put in
// place only after its SHA-256 has been compared with the hub's and, if one is pinned or given, with that one.
import { codeOf, messageOf, sha256OfFile, UserError, writeFileAtomic, writeJson } from '@ct-ensemble/core';
import { PUBLISHED, readRecord, recordFile, type Trust, type WeightsRecord } from '@ct-ensemble/models';
import { downloadFile, HubApiError, pathsInfo } from '@huggingface/hub';
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface FetchOptions {
  /** Repository on the hub, such as `timm/densenet161.tv_in1k`. */
  repository: string;
  /** Path to store `model.safetensors` at. */
  file: string;
  /** Commit, branch or tag; default `main`. */
  revision?: string;
  /** The SHA-256 that the file must have, instead of the pinned one. */
  sha256?: string;
  /** The pinned SHA-256; default that of `PUBLISHED`. Does not apply to a `revision`. */
  pinned?: string | null;
  /** Address of the hub; default: the public one. */
  hubUrl?: string;
  /** Access token of a user of the hub, for repositories that need one. */
  accessToken?: string;
  /** Called after each received part, with numbers of bytes. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Downloads the weights unless they are stored already (`fetched` is false then). The bytes of a broken download are kept beside
 * the file, and the next call resumes from them.
 * @throws {UserError} if the hub cannot be reached or does not have the file, if its file has another SHA-256 than the pinned or
 *   given one, or if the received bytes have another than the hub states.
 */
export async function fetchWeights(options: FetchOptions): Promise<WeightsRecord & { fetched: boolean }> {
  const { repository, file, onProgress } = options;
  const expected = expectationOf(options);
  const there = await fetchedBefore(file);
  const isExpected = expected.sha256 === undefined || expected.sha256 === there?.sha256;
  const isChosen = there?.trust === 'chosen' && options.sha256 === undefined;
  if (there && options.revision === undefined && (isExpected || isChosen)) {
    const known = { ...there, trust: there.trust === 'first-use' ? expected.trust : there.trust };
    if (known.trust !== there.trust) await writeJson(recordFile(file), known);
    return { ...known, fetched: false };
  }
  const request = {
    repo: { type: 'model', name: repository } as const,
    ...(options.hubUrl ? { hubUrl: options.hubUrl } : {}),
    ...(options.accessToken ? { accessToken: options.accessToken } : {}),
  };
  const revision = options.revision ?? 'main';
  const [info] = await requested(options, () =>
    pathsInfo({ ...request, paths: [name], expand: true, revision }),
  );
  const sha256 = info?.lfs?.oid;
  if (info === undefined || sha256 === undefined) {
    throw new UserError(`${repository} has no ${name} at ${revision}`, { remedy: 'give another --revision' });
  }
  if (expected.sha256 !== undefined && sha256 !== expected.sha256) {
    throw new UserError(
      `the SHA-256 of ${name} is ${sha256} on the hub, and ${expected.sha256} is ${ORIGIN[expected.trust]}`,
      {
        file: repository,
        remedy: `if you know that the file was replaced on purpose, give --sha256 ${sha256}`,
      },
    );
  }
  const trust = sha256 === pinnedOf(options) ? 'pinned' : expected.trust;
  const record = { repository, revision: info.lastCommit.id, bytes: info.size, sha256, trust };
  if (there?.sha256 === sha256) {
    await writeJson(recordFile(file), record);
    return { ...record, fetched: false };
  }
  const part = `${file}.${sha256.slice(0, 16)}.part`;
  await mkdir(dirname(file), { recursive: true });
  const blob = await requested(options, () =>
    downloadFile({ ...request, path: name, revision: record.revision }),
  );
  if (blob === null)
    throw new UserError(`${repository} has no ${name}`, { remedy: 'give another --revision' });
  await complete(part, { blob, options, ...(onProgress ? { onProgress } : {}) });
  const digest = await sha256OfFile(part);
  if (digest !== sha256) {
    await rm(part);
    throw new UserError(`SHA-256 is ${digest}, the hub's is ${sha256}`, {
      file: part,
      remedy: 'the download was damaged and has been removed; run it again',
    });
  }
  await putInPlace(file, record, () => rename(part, file));
  return { ...record, fetched: true };
}

const name = 'model.safetensors';

const ORIGIN: Record<Trust, string> = {
  pinned: 'the one pinned in this version',
  chosen: 'the one given',
  'first-use': 'the one recorded',
};

function pinnedOf({ repository, pinned = PUBLISHED[repository]?.sha256 ?? null }: FetchOptions) {
  return pinned;
}

/** The SHA-256 that a file must have, if that is known beforehand, and why it is trusted then. */
function expectationOf(options: FetchOptions): { sha256?: string; trust: Trust } {
  if (options.sha256 !== undefined) return { sha256: options.sha256, trust: 'chosen' };
  if (options.revision !== undefined) return { trust: 'chosen' };
  const pinned = pinnedOf(options);
  return pinned === null ? { trust: 'first-use' } : { sha256: pinned, trust: 'pinned' };
}

/** Puts a file and its record in place. Meanwhile there is no record, so that none ever describes another file. */
async function putInPlace(file: string, record: WeightsRecord, put: () => Promise<void>) {
  await rm(recordFile(file), { force: true });
  await put();
  await writeJson(recordFile(file), record);
}

/**
 * Copies a given file to the place where a downloaded one would be stored, and writes its record.
 * @throws {UserError} if its SHA-256 is not the given one.
 */
export async function keepWeights(
  from: string,
  { repository, file, sha256: given, pinned }: FetchOptions,
): Promise<WeightsRecord> {
  const bytes = await readFile(from);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  requireDigest(from, sha256, given);
  const isPinned = sha256 === pinnedOf({ repository, file, ...(pinned === undefined ? {} : { pinned }) });
  const trust = isPinned ? 'pinned' : 'chosen';
  const record: WeightsRecord = {
    repository,
    revision: 'given as a file',
    bytes: bytes.length,
    sha256,
    trust,
  };
  await putInPlace(file, record, () => writeFileAtomic(file, bytes));
  return record;
}

/** @throws {UserError} if a SHA-256 is given and the file has another. */
export function requireDigest(file: string, sha256: string, given: string | undefined) {
  if (given === undefined || sha256 === given) return;
  throw new UserError(`its SHA-256 is ${sha256}, not the given ${given}`, {
    file,
    remedy: 'get the file again from its source, or correct --sha256',
  });
}

/** The record of a stored file; undefined if the file or its record is missing, or if the file has changed since. */
async function fetchedBefore(file: string): Promise<WeightsRecord | undefined> {
  const record = await readRecord(file);
  if (record === undefined || record.bytes !== (await sizeOf(file))) return undefined;
  return (await sha256OfFile(file)) === record.sha256 ? record : undefined;
}

/** Appends to the file the bytes of the blob that it lacks. @throws {UserError} if the download ends early. */
async function complete(
  path: string,
  { blob, options, onProgress }: { blob: Blob; options: FetchOptions } & Pick<FetchOptions, 'onProgress'>,
) {
  let done = (await sizeOf(path)) ?? 0;
  if (done > blob.size) {
    await rm(path);
    done = 0;
  }
  if (done === blob.size) return;
  const out = await open(path, 'a');
  try {
    const chunks = blob.slice(done).stream().getReader();
    for (;;) {
      const { value } = await requested(options, () => chunks.read());
      if (value === undefined) break;
      await out.writeFile(value);
      done += value.length;
      onProgress?.(done, blob.size);
    }
    await out.sync();
  } finally {
    await out.close();
  }
  if (done > blob.size) await rm(path); // the server sent more bytes than were requested
  if (done !== blob.size) {
    await requested(options, () => Promise.reject(new Error(`${done} of ${blob.size} bytes were received`)));
  }
}

/** Awaits a request to the hub. @throws {UserError} with a remedy if the request fails. */
async function requested<T>(options: FetchOptions, request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    const { repository, revision = 'main', hubUrl: hub = 'https://huggingface.co' } = options;
    const status = error instanceof HubApiError ? error.statusCode : undefined;
    const remedy =
      status === 404
        ? 'give another --revision'
        : status === 401 || status === 403
          ? 'set HF_TOKEN to a token that may read it'
          : 'run it again, the bytes received so far are kept; on a machine without network access copy ' +
            `${hub}/${repository}/resolve/${revision}/${name} to it and give --file FILE`;
    throw new UserError(`cannot be fetched from ${hub} (${causeOf(error)})`, {
      file: repository,
      remedy,
      cause: error,
    });
  }
}

/** The reason of a failed request: `fetch` puts it into the error's `cause`. */
const causeOf = (error: unknown): string =>
  error instanceof Error && error.cause ? causeOf(error.cause) : messageOf(error);

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
