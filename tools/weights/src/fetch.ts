// Published weights from the Hugging Face hub into the cache: resumed where a download broke off, in place only when
// their SHA-256 is the hub's.
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
  /** On the hub: `timm/densenet161.tv_in1k`. */
  repository: string;
  /** Where `model.safetensors` is to lie. */
  file: string;
  /** A commit, branch or tag; default main. */
  revision?: string;
  /** Default the public hub. */
  hubUrl?: string;
  /** Of the user on the hub, for repositories that need one. */
  accessToken?: string;
  onProgress?: (done: number, total: number) => void;
}

const recordSchema = z.object({
  repository: z.string(),
  /** The commit, or that it is not known. */
  revision: z.string(),
  bytes: z.int(),
  sha256: z.string(),
});

/** What was fetched; it lies beside the file as JSON. */
export type FetchRecord = z.infer<typeof recordSchema>;

const recordFile = (file: string) => file.replace(/\.safetensors$/, '.json');

/**
 * Fetches the weights unless they are there. What a broken download brought stays beside the file and is gone on with.
 * @throws {UserError} where the hub cannot be reached or has no such file, and where the bytes are not the hub's.
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
  const [info] = await asked(options, () => pathsInfo({ ...request, paths: [name], expand: true, revision }));
  const sha256 = info?.lfs?.oid;
  if (info === undefined || sha256 === undefined) {
    throw new UserError(`${repository} has no ${name} at ${revision}`, { remedy: 'give another --revision' });
  }
  const record = { repository, revision: info.lastCommit.id, bytes: info.size, sha256 };
  if (there?.sha256 === sha256) return { ...record, fetched: false };
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

/** A file and its record belong together: between the two there is no record. */
async function putInPlace(file: string, record: FetchRecord, put: () => Promise<void>) {
  await rm(recordFile(file), { force: true });
  await put();
  await writeJson(recordFile(file), record);
}

/** Puts a file that came another way where a fetched one would lie. */
export async function keepWeights(repository: string, from: string, file: string): Promise<FetchRecord> {
  const bytes = await readFile(from);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const record = { repository, revision: 'given as a file', bytes: bytes.length, sha256 };
  await putInPlace(file, record, () => writeFileAtomic(file, bytes));
  return record;
}

/** Undefined where the file, or what was written of it, is not there. */
async function fetchedBefore(file: string): Promise<FetchRecord | undefined> {
  const size = await sizeOf(file);
  const record = recordSchema.safeParse(await readJson(recordFile(file)));
  return record.success && record.data.bytes === size ? record.data : undefined;
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
