// Files are read again if and only if they have changed.
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readRegularText, writeFileAtomic } from '@ct-ensemble/core';
import { stampedFiles } from './stamped-files.ts';

async function readsOf() {
  const file = join(await mkdtemp(join(tmpdir(), 'ct-ensemble-stamped-')), 'file.json');
  const files = stampedFiles();
  const reads: string[] = [];
  const get = async () => {
    const { value } = await files.get(file, async () => {
      const text = await readRegularText(file);
      reads.push(text);
      if (text === 'damaged') throw new Error(text);
      return text;
    });
    return value;
  };
  return { file, reads, get };
}

test('a missing file is not read; a file is read once for each of its contents', async () => {
  const { file, reads, get } = await readsOf();
  expect(await get()).toBeUndefined();
  await writeFileAtomic(file, 'one');
  expect(await get()).toBe('one');
  expect(await get()).toBe('one');
  // Of the same size and time, but another file under the name.
  await writeFileAtomic(file, 'two');
  expect(await get()).toBe('two');
  await writeFile(file, 'three, in place');
  expect(await get()).toBe('three, in place');
  await rm(file);
  expect(await get()).toBeUndefined();
  expect(reads).toEqual(['one', 'two', 'three, in place']);
});

test('a file that cannot be understood is read again until it can be', async () => {
  const { file, reads, get } = await readsOf();
  await writeFile(file, 'damaged');
  await expect(get()).rejects.toThrow('damaged');
  await expect(get()).rejects.toThrow('damaged');
  await writeFile(file, 'mended!');
  await utimes(file, 1, 1);
  expect(await get()).toBe('mended!');
  expect(reads).toEqual(['damaged', 'damaged', 'mended!']);
});
