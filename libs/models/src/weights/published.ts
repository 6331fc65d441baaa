// Which published files are expected: their SHA-256, pinned where it is known, else recorded when a file first comes.
import { readJson, sha256OfFile, UserError, writeJson } from '@ct-ensemble/core';
import { stat } from 'node:fs/promises';
import { z } from 'zod';

export interface PublishedFile {
  /** Commit of the repository, or null if none is pinned. */
  readonly revision: string | null;
  /** SHA-256 of `model.safetensors`, or null if it is not known. */
  readonly sha256: string | null;
}

const unknown: PublishedFile = { revision: null, sha256: null };

/**
 * The file `model.safetensors` of each repository on the Hugging Face hub. A digest is entered only from a source that
 * read the file; the digest in a torchvision file name is that of another file (.pth).
 */
export const PUBLISHED: Readonly<Record<string, PublishedFile>> = {
  'timm/densenet161.tv_in1k': unknown,
  'timm/inception_resnet_v2.tf_in1k': unknown,
  // From ferrotorch's registry, whose authors downloaded and hashed the file (github.com/amberwhitehead/ferrotorch, commit
  // 8b718d0, ferrotorch-hub/src/registry.rs). Other public records agree with that registry's digests of resnet50.a1_in1k
  // and densenet121.tv_in1k; this one has no second record, and was not compared with the hub here.
  'timm/inception_v3.tv_in1k': {
    revision: null,
    sha256: '9c452c63a67fd03a38a78c401ba12d4be0e926df63c93403de3a29f6df20fefb',
  },
  'timm/inception_v4.tf_in1k': unknown,
  'timm/resnext50_32x4d.tv_in1k': unknown,
};

/**
 * Why a file is trusted. `pinned`: it has the pinned SHA-256; `chosen`: the user named the file, its revision or its
 * SHA-256; `first-use`: nothing was known of it when it came.
 */
export type Trust = 'pinned' | 'chosen' | 'first-use';

const recordSchema = z.object({
  repository: z.string(),
  /** The commit, or that it is not known. */
  revision: z.string(),
  bytes: z.int(),
  sha256: z.string(),
  trust: z.enum(['pinned', 'chosen', 'first-use']).default('first-use'),
});

/** What is known of a published file in the cache; it lies beside the file as JSON. */
export type WeightsRecord = z.infer<typeof recordSchema>;

export function recordFile(file: string): string {
  return file.replace(/\.safetensors$/, '.json');
}

/** The record of a file; undefined if there is none. */
export async function readRecord(file: string): Promise<WeightsRecord | undefined> {
  return recordSchema.safeParse(await readJson(recordFile(file))).data;
}

/**
 * Checks a published file in the cache: its SHA-256 must be the recorded one and, unless the user chose the file, the
 * pinned one. A file without a record gets one (trust on first use).
 * @throws {UserError} naming the file, both digests and the remedy.
 */
export async function verifyPublished(
  file: string,
  { repository, architecture, pinned = PUBLISHED[repository]?.sha256 }: VerifyOptions,
): Promise<WeightsRecord> {
  const sha256 = await sha256OfFile(file);
  const record = await readRecord(file);
  const fetch = `npx nx run weights:fetch -- --architecture ${architecture}`;
  if (record !== undefined && record.sha256 !== sha256) {
    throw new UserError(`the file was changed: its SHA-256 is ${sha256}, it was ${record.sha256}`, {
      file,
      remedy: `${fetch} fetches it again`,
    });
  }
  if (pinned && sha256 !== pinned && record?.trust !== 'chosen') {
    throw new UserError(
      `is not the file that ${repository} published: its SHA-256 is ${sha256}, not ${pinned}`,
      {
        file,
        remedy: `${fetch} fetches that one; --file FILE --sha256 ${sha256} keeps this one`,
      },
    );
  }
  if (record !== undefined) return record;
  const { size: bytes } = await stat(file);
  const trust = pinned ? 'pinned' : 'first-use';
  const first: WeightsRecord = { repository, revision: 'not known', bytes, sha256, trust };
  await writeJson(recordFile(file), first).catch(() => undefined); // the cache may be on a read-only disk
  return first;
}

export interface VerifyOptions {
  repository: string;
  /** Named in the remedy. */
  architecture: string;
  /** Default: that of `PUBLISHED`. */
  pinned?: string | null | undefined;
}
