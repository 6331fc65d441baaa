// The ensemble file as a container: equal bytes everywhere, read by other programs, and a named error for every damage.
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { UserError } from '@ct-ensemble/core';
import { unzipSync, zipSync } from 'fflate';
import { readContainer, writeContainer } from './container.ts';
import { entriesWith, manifestOf, weightEntries } from './ensemble-file.fixture.ts';
import { loadEnsembleFile } from './load.ts';
import { modelCard } from './model-card.ts';

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-file-'));
  file = join(folder, 'a.ctens');
  await writeContainer(file, entriesWith(manifestOf(weightEntries()), weightEntries()));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Writes bytes and returns the message of the error that reading them gives. */
async function problemOf(bytes: Uint8Array): Promise<string> {
  const path = join(folder, 'b.ctens');
  await writeFile(path, bytes);
  const error: unknown = await loadEnsembleFile(path).catch((error: unknown) => error);
  if (!(error instanceof UserError)) throw new Error(`no UserError, but ${String(error)}`);
  expect(error.file).toBe(path);
  expect(error.remedy).toBeDefined();
  return error.problem;
}

/** The same for a file that a program wrote with all digests right. */
async function problemWith(manifest: object, others = weightEntries()): Promise<string> {
  const path = join(folder, 'c.ctens');
  await writeContainer(path, entriesWith(manifest, others));
  return problemOf(await readFile(path));
}

test('a file that was written is read, with its entries as they were', async () => {
  const { manifest, entries, id } = await loadEnsembleFile(file);
  expect(manifest.members.map(({ name }) => name)).toEqual(['one', 'two']);
  for (const { name, bytes } of weightEntries()) expect(Buffer.compare(entries.get(name)!, bytes)).toBe(0);
  const manifestBytes = entries.get('manifest.json')!;
  expect(id).toBe(createHash('sha256').update(manifestBytes).digest('hex'));
});

test('other programs read the archive: Python, and fflate', async () => {
  const bytes = await readFile(file);
  const names = Object.keys(unzipSync(bytes));
  expect(names).toEqual(['manifest.json', 'members/one.safetensors', 'members/two.safetensors']);
  const program =
    'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); print(z.testzip(), len(z.namelist()))';
  expect(execFileSync('python3', ['-c', program, file], { encoding: 'utf8' }).trim()).toBe('None 3');
});

test('the bytes are equal in every time zone', async () => {
  const before = process.env['TZ'];
  const first = await readFile(file);
  try {
    for (const zone of ['Pacific/Kiritimati', 'America/New_York', 'Asia/Kathmandu']) {
      process.env['TZ'] = zone;
      const path = join(folder, 'zone.ctens');
      await writeContainer(path, entriesWith(manifestOf(weightEntries()), weightEntries()));
      expect(Buffer.compare(await readFile(path), first)).toBe(0);
    }
  } finally {
    if (before === undefined) delete process.env['TZ'];
    else process.env['TZ'] = before;
  }
});

test('a changed bit anywhere is a named error', async () => {
  const bytes = await readFile(file);
  const places = Array.from({ length: 60 }, (_, i) => Math.floor((i * (bytes.length - 1)) / 59));
  for (const at of places) {
    const damaged = Uint8Array.from(bytes);
    damaged[at]! ^= 1 << (at % 8);
    expect(await problemOf(damaged)).toMatch(/is damaged: its SHA-256|is no ensemble file|is cut short/);
  }
});

test('a file that is cut anywhere is a named error', async () => {
  const bytes = await readFile(file);
  const lengths = Array.from({ length: 40 }, (_, i) => Math.floor((i * (bytes.length - 1)) / 39));
  for (const length of lengths)
    expect(await problemOf(bytes.subarray(0, length))).toMatch(/is no ensemble file|is cut short/);
  expect(await problemOf(Buffer.concat([bytes, Buffer.from('x')]))).toMatch(/is cut short/);
});

test('another version, a missing member, an unlisted file and a changed entry are named', async () => {
  const weights = weightEntries();
  expect(await problemWith(manifestOf(weights, { version: 2 }))).toBe(
    'has version 2 of the format; this program reads version 1',
  );
  expect(await problemWith(manifestOf(weights), weights.slice(0, 1))).toBe(
    'is incomplete: its manifest lists members/two.safetensors, which is missing',
  );
  expect(await problemWith(manifestOf(weights.slice(0, 1)), weights)).toMatch(
    /holds members\/two\.safetensors, which its manifest does not list/,
  );
  expect(await problemWith(manifestOf(weights.slice(0, 1)), weights.slice(0, 1))).toMatch(
    /names members\/two\.safetensors, but does not list it/,
  );
  const changed = weights.map((entry, i) => (i === 0 ? { ...entry, bytes: Buffer.from('other') } : entry));
  expect(await problemWith(manifestOf(weights), changed)).toMatch(
    /members\/one\.safetensors is not what its manifest lists/,
  );
  expect(await problemWith(manifestOf(weights, { classes: ['one'] }))).toMatch(/field classes/);
  const { preparation } = manifestOf(weights);
  expect(await problemWith(manifestOf(weights, { preparation: { ...preparation, version: 1 } }))).toMatch(
    /prepared by version 1 of the preparation/,
  );
});

test('names that lead out of the archive, compressed entries and doubled names are refused', async () => {
  for (const name of [
    '../x',
    '/etc/passwd',
    'members/../../x.safetensors',
    'members\\x.safetensors',
    'other.txt',
  ]) {
    const path = join(folder, 'd.ctens');
    await writeContainer(path, [{ name, bytes: Buffer.from('x') }]);
    expect(await problemOf(await readFile(path))).toMatch(/is no ensemble file: /);
  }
  const zip = zipSync({ 'manifest.json': [new Uint8Array(1000), { level: 9 }] });
  new DataView(zip.buffer).setUint16(zip.length - 2, 71, true);
  const digest = createHash('sha256').update(zip).digest('hex');
  expect(await problemOf(Buffer.concat([zip, Buffer.from(`sha256:${digest}`)]))).toMatch(
    /the entry "manifest.json" is compressed or encrypted/,
  );
});

test('what is no ensemble file is named', async () => {
  expect(await problemOf(Buffer.alloc(0))).toMatch(/does not begin as a zip archive/);
  expect(await problemOf(Buffer.from('version https://git-lfs.github.com/spec/v1\n'))).toMatch(/Git LFS/);
  expect(await problemOf(zipSync({ a: Buffer.from('x') }))).toMatch(/does not end with its SHA-256/);
  await expect(readContainer(join(folder, 'none'))).rejects.toThrow(/there is no such ensemble file/);
  await expect(readContainer(folder)).rejects.toThrow(UserError);
});

test('the model card names classes, scores, limits, and that it is no medical device', () => {
  const card = modelCard(manifestOf(weightEntries()));
  expect(card).toMatch(/Not a medical device/);
  expect(card).toMatch(/`non-covid`, `covid`/);
  expect(card).toMatch(/\| validation, 4 \| 50\.0 \| 50\.0 \| – \|/);
  expect(card).toMatch(/8 scans for training: 4 `non-covid`, 4 `covid`/);
});
