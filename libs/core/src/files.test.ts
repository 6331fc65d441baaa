import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readJson, sweepTemporaryFiles, writeFileAtomic, writeJson } from './files.ts';
import { ownTag } from './process-identity.ts';

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

test('a file that cannot be written is named with a remedy, and no temporary file is left', async () => {
  const at = await folder();
  await mkdir(join(at, 'taken'));
  await expect(writeFileAtomic(join(at, 'taken'), 'x')).rejects.toThrow(
    `${join(at, 'taken')}: is a folder, where a file is expected → move the folder away`,
  );
  expect(await readdir(at)).toEqual(['taken']);
  await symlink(join(at, 'no', 'disk'), join(at, 'unmounted'));
  await expect(writeFileAtomic(join(at, 'unmounted', 'x'), 'x')).rejects.toThrow(
    /unmounted\/x: cannot be written \(.*\) → check that its folder exists/,
  );
});

test('temporary files of killed processes are swept, those of living ones are not', async () => {
  const at = await folder();
  const killed = `
    import { writeFileAtomic } from ${JSON.stringify(new URL('../dist/files.js', import.meta.url).href)};
    function* parts() { yield new Uint8Array(9); process.kill(process.pid, 'SIGKILL'); }
    await writeFileAtomic(${JSON.stringify(join(at, 'file.json'))}, parts());`;
  const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', killed]);
  expect(signal).toBe('SIGKILL');
  expect(await readdir(at)).toEqual([expect.stringMatching(/^\.file\.json\.\d+-.*\.tmp$/)]);

  const tag = await ownTag();
  const [pid, , machine] = tag.split('-');
  const stale = new Date(Date.now() - 25 * 60 * 60 * 1000);
  const write = async (name: string, time = new Date()) => {
    await writeFile(join(at, name), '');
    await utimes(join(at, name), time, time);
  };
  const kept = [
    `.own.${tag}-00000000.tmp`,
    `.other-host.${pid}-00000000-00000000-00000000.tmp`,
    '.earlier-version.1-00000000.tmp',
    '.claim.0123456789abcdef.tmp',
    'notes.tmp',
  ];
  for (const name of kept) await write(name);
  await write('.notes.tmp', stale);
  await write(`.pid-of-another-start.${pid}-00000000-${machine}-00000000.tmp`);
  await write(`.other-host-old.${pid}-00000000-00000000-00000000.tmp`, stale);
  await write('.earlier-version-old.1-00000000.tmp', stale);
  expect(await sweepTemporaryFiles(at)).toBe(4);
  expect((await readdir(at)).sort()).toEqual([...kept, '.notes.tmp'].sort());
  expect(await sweepTemporaryFiles(join(at, 'missing'))).toBe(0);
});
