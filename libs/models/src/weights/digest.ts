// Digests that a safetensors file carries in its own metadata, so that every reader notices a change of its content.
import { createHash } from 'node:crypto';
import type { Metadata, StoredTensors } from './safetensors.ts';

/** Metadata fields of the digests. */
const TENSORS = 'sha256_tensors';
const METADATA = 'sha256_metadata';

/** SHA-256 over names, types, shapes and bytes of the tensors, in the order of their names; 64 hexadecimal digits. */
export function digestOfTensors(tensors: StoredTensors): string {
  const hash = createHash('sha256');
  for (const part of digestedParts(tensors)) hash.update(part);
  return hash.digest('hex');
}

/** What `digestOfTensors` digests, one part after the other; the bytes are views of the tensors' values. */
export function digestedParts(tensors: StoredTensors): (string | Uint8Array)[] {
  const sorted = [...tensors].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.flatMap(([name, { dtype, shape, data }]) => [
    `${JSON.stringify([name, dtype, shape])}\n`,
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  ]);
}

/** The metadata with two more fields: the digest of the tensors, and the digest of all other metadata. */
export function withDigests(metadata: Metadata, tensorsDigest: string): Metadata {
  const complete = { ...metadata, [TENSORS]: tensorsDigest };
  return { ...complete, [METADATA]: digestOfMetadata(complete) };
}

/** Whether the metadata has digests. */
export const hasDigests = (metadata: Metadata) => metadata[TENSORS] !== undefined;

/** What does not agree with the digests in the metadata; undefined if all agrees or there are none. */
export function digestProblem(tensors: StoredTensors, metadata: Metadata): string | undefined {
  const found = { [TENSORS]: () => digestOfTensors(tensors), [METADATA]: () => digestOfMetadata(metadata) };
  for (const [field, digestOf] of Object.entries(found)) {
    const expected = metadata[field];
    if (expected === undefined) continue;
    const digest = digestOf();
    if (digest !== expected)
      return `its content was changed after it was written: ${field} is ${digest}, expected ${expected}`;
  }
  return undefined;
}

function digestOfMetadata(metadata: Metadata): string {
  const others = Object.entries(metadata).filter(([key]) => key !== METADATA);
  const sorted = others.sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex');
}
