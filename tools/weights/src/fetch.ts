// Published weights from the Hugging Face hub into the cache: resumed where a download broke off, in place only when
// their SHA-256 is the hub's.
import { codeOf, messageOf, readJson, UserError, writeFileAtomic, writeJson } from '@ct-ensemble/core';
import { downloadFile, pathsInfo } from '@huggingface/hub';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
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
  const { repository, file, revision = 'main', onProgress } = options;
  const there = await fetchedBefore(file);
  if (there && [undefined, there.revision].includes(options.revision)) return { ...there, fetched: false };
  const request = {
    repo: { type: 'model', name: repository } as const,
    ...(options.hubUrl ? { hubUrl: options.hubUrl } : {}),
    ...(options.accessToken ? { accessToken: options.accessToken } : {}),
  };
  const name = 'model.safetensors';
  const found = await asked(options, () => pathsInfo({ ...request, paths: [name], expand: true, revision }));
  const info = found[0];
  const sha256 = info?.lfs?.oid;
  if (info === undefined || sha256 === undefined) {
    throw new UserError(`${repository} has no ${name} at ${revision}`, { remedy: 'give another --revision' });
  }
  const record = { repository, revision: info.lastCommit.id, bytes: info.size, sha256 };
  const part = `${file}.${sha256.slice(0, 16)}.part`;
  await mkdir(dirname(file), { recursive: true });
  await asked(options, async () => {
    const blob = await downloadFile({ ...request, path: name, revision: record.revision });
    if (blob === null) throw new Error(`the hub has no ${name}`);
    await append(blob, part, onProgress);
  });
  const digest = await sha256Of(part);
  if (digest !== sha256) {
    await rm(part);
    throw new UserError(`SHA-256 is ${digest}, the hub's is ${sha256}`, {
      file: part,
      remedy: 'the download was damaged and has been removed; run it again',
    });
  }
  await rename(part, file);
  await writeJson(recordFile(file), record);
  return { ...record, fetched: true };
}

/** Puts a file that came another way where a fetched one would lie. */
export async function keepWeights(repository: string, from: string, file: string): Promise<FetchRecord> {
  const bytes = await readFile(from);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const record = { repository, revision: 'given as a file', bytes: bytes.length, sha256 };
  await writeFileAtomic(file, bytes);
  await writeJson(recordFile(file), record);
  return record;
}

/** Undefined where the file, or what was written of it, is not there. */
async function fetchedBefore(file: string): Promise<FetchRecord | undefined> {
  const size = await sizeOf(file);
  const record = recordSchema.safeParse(await readJson(recordFile(file)));
  return record.success && record.data.bytes === size ? record.data : undefined;
}

/** Appends what the file lacks of the blob. */
async function append(blob: Blob, path: string, onProgress?: FetchOptions['onProgress']) {
  let done = (await sizeOf(path)) ?? 0;
  if (done > blob.size) {
    await rm(path);
    done = 0;
  }
  const out = await open(path, 'a');
  try {
    for await (const chunk of blob.slice(done).stream()) {
      await out.writeFile(chunk);
      done += chunk.length;
      onProgress?.(done, blob.size);
    }
    await out.sync();
  } finally {
    await out.close();
  }
  if (done !== blob.size) throw new Error(`the connection ended after ${done} of ${blob.size} bytes`);
}

/** Whatever goes wrong with the hub is told with what to do about it. */
async function asked<T>({ repository, hubUrl }: FetchOptions, request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    const hub = hubUrl ?? 'https://huggingface.co';
    throw new UserError(`cannot be fetched from ${hub} (${causeOf(error)})`, {
      file: repository,
      remedy:
        'run it again, what has come is kept; without a network bring ' +
        `${hub}/${repository}/resolve/main/model.safetensors and give --file FILE`,
      cause: error,
    });
  }
}

/** fetch() says only that it failed; its cause says why. */
const causeOf = (error: unknown): string =>
  error instanceof Error && error.cause ? causeOf(error.cause) : messageOf(error);

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
