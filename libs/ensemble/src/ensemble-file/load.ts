// Reads an ensemble file and checks every digest in it.
import { messageOf, UserError } from '@ct-ensemble/core';
import { PREPARATION_VERSION } from '@ct-ensemble/data';
import { readContainer, sha256Of } from './container.ts';
import { FORMAT_VERSION, type Manifest, manifestSchema } from './manifest.ts';

/** An ensemble file in memory. */
export interface EnsembleFile {
  file: string;
  /** SHA-256 of the manifest, hexadecimal. As the manifest holds the digest of every other entry, it identifies the ensemble. */
  id: string;
  manifest: Manifest;
  /** All bytes of the file, of which the entries are views. */
  buffer: Buffer;
  /** Entries by name; weights are safetensors files. */
  entries: ReadonlyMap<string, Uint8Array>;
}

const MANIFEST = 'manifest.json';

/** Bound of the manifest, in bytes; that of 1000 members has less than 1 MB. */
const MOST_MANIFEST_BYTES = 2 ** 24;

/**
 * Reads an ensemble file. Nothing of it is unpacked to disk.
 * @throws {UserError} if the file is missing, cut short, damaged, incomplete, or of another version of the format.
 */
export async function loadEnsembleFile(file: string): Promise<EnsembleFile> {
  const { buffer, entries } = await readContainer(file);
  const refuse = (problem: string, remedy = 'pack it anew with evaluator:pack'): never => {
    throw new UserError(problem, { file, remedy });
  };
  const bytes = entries.get(MANIFEST) ?? refuse('is no ensemble file: it has no manifest.json');
  if (bytes.length > MOST_MANIFEST_BYTES) refuse(`its manifest.json has ${bytes.length} bytes`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    refuse(`its manifest.json is not JSON (${messageOf(error)})`);
  }
  const version = (json as { version?: unknown } | null)?.version;
  if (version !== FORMAT_VERSION)
    refuse(
      `has version ${JSON.stringify(version)} of the format; this program reads version ${FORMAT_VERSION}`,
      'use the version of the program that packed it, or pack the run anew with this one',
    );
  const parsed = manifestSchema.safeParse(json);
  const issue = parsed.error?.issues[0];
  const manifest =
    parsed.data ??
    refuse(`its manifest.json does not fit: field ${issue!.path.join('.')}: ${issue!.message}`);
  for (const { name, bytes: size, sha256 } of manifest.entries) {
    const entry = entries.get(name) ?? refuse(`is incomplete: its manifest lists ${name}, which is missing`);
    if (entry.length !== size || sha256Of(entry) !== sha256)
      refuse(`is damaged: ${name} is not what its manifest lists (${size} bytes, SHA-256 ${sha256})`);
  }
  const listed = new Set(manifest.entries.map(({ name }) => name));
  const unlisted = [...entries.keys()].find((name) => name !== MANIFEST && !listed.has(name));
  if (unlisted !== undefined) refuse(`holds ${unlisted}, which its manifest does not list`);
  const { members, preparation } = manifest;
  const networks = [preparation.filter, preparation.segmenter].filter((each) => each !== null);
  for (const { weights } of [...members, ...networks])
    if (!listed.has(weights)) refuse(`is incomplete: its manifest names ${weights}, but does not list it`);
  const lost = members.find(({ volume }) => preparation.volumes[volume] === undefined);
  if (lost !== undefined) refuse(`its manifest has no volume for the member ${lost.name}`);
  if (new Set(members.map(({ name }) => name)).size < members.length)
    refuse('its manifest has two members of the same name');
  const { weights } = manifest.combination;
  if (weights !== null && weights.length !== members.length)
    refuse(`its manifest has ${weights.length} weights of the combination for ${members.length} members`);
  if (preparation.version !== PREPARATION_VERSION)
    refuse(
      `its scans are prepared by version ${preparation.version} of the preparation; this program has version ${PREPARATION_VERSION}`,
      'use the version of the program that packed it, or train the run anew with this one',
    );
  return { file, id: sha256Of(bytes), manifest, buffer, entries };
}
