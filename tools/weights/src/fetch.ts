// Downloads published weights from the Hugging Face hub into the cache. A broken download is resumed, and the file is put in
// place only after its SHA-256 has been compared with the hub's.
import {
  codeOf,
  messageOf,
  readJson,
  sha256OfFile,
  UserError,
  writeFileAtomic,
  writeJson,
} from '@ct-ensemble/core';
import { downloadFile, HubApiError, pathsInfo } from '@huggingface/hub';
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';

export interface FetchOptions {
  /** Repository on the hub, such as `timm/densenet161.tv_in1k`. */
  repository: string;
  /** Path to store `model.safetensors` at. */
  file: string;
  /** Commit, branch or tag; default `main`. */
  revision?: string;
  /** Address of the hub; default: the public one. */
  hubUrl?: string;
  /** Access token of a user of the hub, for repositories that need one. */
  accessToken?: string;
  /** Called after each received part, with numbers of bytes. */
  onProgress?: (done: number, total: number) => void;
}

const recordSchema = z.object({
  repository: z.string(),
  /** The commit, or `given as a file` if it is not known. */
  revision: z.string(),
  bytes: z.int(),
  sha256: z.string(),
});

/** Source, size and hash of stored weights; kept as JSON beside the file. */
export type FetchRecord = z.infer<typeof recordSchema>;

const recordFile = (file: string) => file.replace(/\.safetensors$/, '.json');

/**
 * Downloads the weights unless they are stored already (`fetched` is false then). The bytes of a broken download are kept beside
 * the file, and the next call resumes from them.
 * @throws {UserError} if the hub cannot be reached, does not have the file, or states another SHA-256 than the received bytes have.
 */
export async function fetchWeights(options: FetchOptions): Promise<FetchRecord & { fetched: boolean }> {
  const { repository, file, onProgress } = options;
  const there = await fetchedBefore(file);
  if (there && options.revision === undefined) return { ...there, fetched: false };
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
  const record = { repository, revision: info.lastCommit.id, bytes: info.size, sha256 };
  if (there?.sha256 === sha256) return { ...record, fetched: false };
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

/** Puts a file and its record in place. Meanwhile there is no record, so that none ever describes another file. */
async function putInPlace(file: string, record: FetchRecord, put: () => Promise<void>) {
  await rm(recordFile(file), { force: true });
  await put();
  await writeJson(recordFile(file), record);
}

/** Copies a given file to the place where a downloaded one would be stored, and writes its record. */
export async function keepWeights(repository: string, from: string, file: string): Promise<FetchRecord> {
  const bytes = await readFile(from);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const record = { repository, revision: 'given as a file', bytes: bytes.length, sha256 };
  await putInPlace(file, record, () => writeFileAtomic(file, bytes));
  return record;
}

/** The record of a stored file; undefined if the file or its record is missing, or if their sizes differ. */
async function fetchedBefore(file: string): Promise<FetchRecord | undefined> {
  const size = await sizeOf(file);
  const record = recordSchema.safeParse(await readJson(recordFile(file)));
  return record.success && record.data.bytes === size ? record.data : undefined;
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
