// Published weights from the Hugging Face hub into the cache: resumed where a download broke off, in place only when
// their SHA-256 is the hub's and, where one is pinned or given, that one.
import { codeOf, messageOf, sha256OfFile, UserError, writeFileAtomic, writeJson } from '@ct-ensemble/core';
import { PUBLISHED, readRecord, recordFile, type Trust, type WeightsRecord } from '@ct-ensemble/models';
import { downloadFile, HubApiError, pathsInfo } from '@huggingface/hub';
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface FetchOptions {
  /** On the hub: `timm/densenet161.tv_in1k`. */
  repository: string;
  /** Where `model.safetensors` is to lie. */
  file: string;
  /** A commit, branch or tag; default main. */
  revision?: string;
  /** The SHA-256 that the file must have, instead of the pinned one. */
  sha256?: string;
  /** The pinned SHA-256; default that of `PUBLISHED`. Does not apply to a `revision`. */
  pinned?: string | null;
  /** Default the public hub. */
  hubUrl?: string;
  /** Of the user on the hub, for repositories that need one. */
  accessToken?: string;
  onProgress?: (done: number, total: number) => void;
}

/**
 * Fetches the weights unless they are there. What a broken download brought stays beside the file and is gone on with.
 * @throws {UserError} if the hub cannot be reached or has no such file, if its file has another SHA-256 than the pinned or
 *   given one, and if the bytes that came are not the hub's.
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
  const [info] = await asked(options, () => pathsInfo({ ...request, paths: [name], expand: true, revision }));
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
  const blob = await asked(options, () =>
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

/** A file and its record belong together: between the two there is no record. */
async function putInPlace(file: string, record: WeightsRecord, put: () => Promise<void>) {
  await rm(recordFile(file), { force: true });
  await put();
  await writeJson(recordFile(file), record);
}

/**
 * Puts a file that came another way where a fetched one would lie.
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

/** Undefined if the file or its record is not there, or the file is no longer what was recorded. */
async function fetchedBefore(file: string): Promise<WeightsRecord | undefined> {
  const record = await readRecord(file);
  if (record === undefined || record.bytes !== (await sizeOf(file))) return undefined;
  return (await sha256OfFile(file)) === record.sha256 ? record : undefined;
}

/** Appends what the file lacks of the blob. */
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
      const { value } = await asked(options, () => chunks.read());
      if (value === undefined) break;
      await out.writeFile(value);
      done += value.length;
      onProgress?.(done, blob.size);
    }
    await out.sync();
  } finally {
    await out.close();
  }
  if (done > blob.size) await rm(path); // a server that sends more than was asked for
  if (done !== blob.size) {
    await asked(options, () => Promise.reject(new Error(`${done} of ${blob.size} bytes came`)));
  }
}

/** Whatever goes wrong with the hub is told with what to do about it. */
async function asked<T>(options: FetchOptions, request: () => Promise<T>): Promise<T> {
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
          : 'run it again, what has come is kept; without a network bring ' +
            `${hub}/${repository}/resolve/${revision}/${name} and give --file FILE`;
    throw new UserError(`cannot be fetched from ${hub} (${causeOf(error)})`, {
      file: repository,
      remedy,
      cause: error,
    });
  }
}

/** fetch() says only that it failed; its cause says why. */
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
