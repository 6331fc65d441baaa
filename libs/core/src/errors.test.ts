import { mkdtemp, open, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asUserError, UserError } from './errors.ts';

const systemError = (code: string, more: object = {}) =>
  Object.assign(new Error(`${code}: as Node puts it`), { code, ...more });

test.each([
  ['ENOSPC', /^\/a\/b: no space is left on the disk → free some space/],
  ['EDQUOT', /^\/a\/b: the disk quota is used up → /],
  ['EROFS', /^\/a\/b: the file system is read-only → mount it for writing/],
  ['EACCES', /^\/a\/b: permission denied → give this user the right/],
  ['EPERM', /^\/a\/b: not permitted → /],
  ['EMFILE', /^\/a\/b: too many files are open.* → raise the limit/],
])('%s becomes one line with the file and the remedy', (code, line) => {
  const error = asUserError(systemError(code, { path: '/a/b' }));
  expect(error).toBeInstanceOf(UserError);
  expect((error as UserError).message).toMatch(line);
});

test('of a rename the target is named; a given file replaces both; without a path the message says so', () => {
  const rename = systemError('ENOSPC', { path: '/a/.b.tmp', dest: '/a/b' });
  expect((asUserError(rename) as UserError).file).toBe('/a/b');
  expect((asUserError(rename, '/c') as UserError).file).toBe('/c');
  expect((asUserError(systemError('ENOSPC')) as UserError).message).toMatch(
    /^no space is left on the disk \(ENOSPC: as Node puts it\) → /,
  );
});

test('errors that Node throws for a folder and for a file in the path', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-errors-'));
  const file = join(folder, 'file');
  await writeFile(file, '');
  await expect(readFile(folder).catch((error: unknown) => Promise.reject(asUserError(error, folder)))).rejects.toThrow(`${folder}: is a folder`); // prettier-ignore
  const below = join(file, 'below');
  await expect(open(below, 'w').catch((error: unknown) => Promise.reject(asUserError(error)))).rejects.toThrow(`${below}: a part of the path is a file`); // prettier-ignore
});

test('other errors stay as they are', () => {
  for (const error of [new UserError('x'), new TypeError('y'), systemError('ENOENT'), 'text', undefined])
    expect(asUserError(error)).toBe(error);
});
