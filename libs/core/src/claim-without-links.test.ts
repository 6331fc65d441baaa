import { jest } from '@jest/globals';
import * as files from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// A file system without hard links, such as FAT, answers link() with EPERM.
const link = jest.fn(() => Promise.reject(Object.assign(new Error('no links'), { code: 'EPERM' })));
jest.unstable_mockModule('node:fs/promises', () => ({ ...files, link }));
const { claimFolder } = await import('./claim.ts');

test('where there are no hard links, claims are made, refused, taken over and released all the same', async () => {
  const folder = await files.mkdtemp(join(tmpdir(), 'ct-ensemble-claim-'));
  const claim = await claimFolder(folder);
  expect(link).toHaveBeenCalled();
  await expect(claimFolder(folder)).rejects.toThrow(/already claimed/);
  await claim.release();
  expect(await files.readdir(folder)).toEqual([]);
  await files.writeFile(join(folder, '.claim'), '4194305'); // above the highest pid that Linux gives
  const second = await claimFolder(folder);
  expect(await files.readdir(folder)).toEqual(['.claim']);
  expect(await second.isHeld()).toBe(true);
  await second.release();
  expect(await files.readdir(folder)).toEqual([]);
});
