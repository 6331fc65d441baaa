import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readJson, writeFileAtomic, writeJson } from './files.ts';

const folder = () => mkdtemp(join(tmpdir(), 'ct-ensemble-files-'));

test('a file is replaced whole and no temporary name is left', async () => {
  const at = join(await folder(), 'deep', 'file.bin');
  await writeFileAtomic(at, 'old');
  await writeFileAtomic(at, [new Uint8Array([110, 101]), new Uint8Array([119])]);
  expect(await readFile(at, 'utf8')).toBe('new');
  expect(await readdir(join(at, '..'))).toEqual(['file.bin']);
});

test('a failed write leaves the old content and nothing else', async () => {
  const at = join(await folder(), 'file.txt');
  await writeFileAtomic(at, 'old');
  await expect(writeFileAtomic(at, [null as unknown as Uint8Array])).rejects.toThrow();
  expect(await readFile(at, 'utf8')).toBe('old');
  expect(await readdir(join(at, '..'))).toEqual(['file.txt']);
});

test('JSON goes out and comes back; no file is undefined; what is not JSON names the file', async () => {
  const at = join(await folder(), 'value.json');
  expect(await readJson(at)).toBeUndefined();
  await writeJson(at, { a: [1, 2] });
  expect(await readJson(at)).toEqual({ a: [1, 2] });
  await writeFile(at, '{"a": [1,');
  await expect(readJson(at)).rejects.toThrow(/value\.json: is not JSON/);
});
