import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256OfFile, readJson } from './files.ts';
import {
  MAX_BYTES,
  openRegularFile,
  readFolder,
  readRegularFile,
  readRegularText,
  regularFileChunks,
} from './regular-files.ts';

let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-regular-'))));

const canMakePipes = spawnSync('mkfifo', ['--version']).status === 0 || process.platform === 'darwin';
const testWithPipes = canMakePipes ? test : test.skip;

async function collect(path: string, maxBytes?: number) {
  const parts: Buffer[] = [];
  for await (const part of regularFileChunks(path, { chunkSize: 3, ...(maxBytes && { maxBytes }) }))
    parts.push(part);
  return parts.map(String);
}

test('a regular file is read whole, as bytes, as text and in pieces, also through a link', async () => {
  await writeFile(join(folder, 'file'), 'größer');
  await symlink('file', join(folder, 'link'));
  for (const name of ['file', 'link']) {
    const path = join(folder, name);
    expect(await readRegularFile(path)).toEqual(Buffer.from('größer'));
    expect(await readRegularText(path)).toBe('größer');
    expect((await collect(path)).length).toBe(3);
    const { handle, stats } = await openRegularFile(path);
    await handle.close();
    expect(stats.size).toBe(8);
  }
  await writeFile(join(folder, 'empty'), '');
  expect(await readRegularFile(join(folder, 'empty'))).toEqual(Buffer.alloc(0));
});

testWithPipes(
  'a pipe is refused at once by every way of reading (skipped where mkfifo is missing)',
  async () => {
    const path = join(folder, 'pipe');
    expect(spawnSync('mkfifo', [path]).status).toBe(0);
    const refusal =
      /pipe: is a pipe \(FIFO\), not a regular file → put the file itself in its place, or remove it$/;
    for (const read of [openRegularFile, readRegularFile, readRegularText, collect, readJson, sha256OfFile])
      await expect(read(path)).rejects.toThrow(refusal);
  },
);

test('a folder, a socket and a device are refused; a missing file keeps its code', async () => {
  await mkdir(join(folder, 'folder'));
  await expect(readRegularFile(join(folder, 'folder'))).rejects.toThrow(
    /folder: is a folder, not a regular file/,
  );
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(folder, 'socket'), resolve));
  try {
    await expect(readRegularFile(join(folder, 'socket'))).rejects.toThrow(
      /socket: is a socket, not a regular file/,
    );
  } finally {
    server.close();
  }
  await symlink('/dev/zero', join(folder, 'zero'));
  await expect(readRegularFile(join(folder, 'zero'))).rejects.toThrow(
    /zero: is a device, not a regular file/,
  );
  await expect(readRegularFile(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a file larger than its use allows is refused before it is read', async () => {
  const path = join(folder, 'large');
  await writeFile(path, '');
  await truncate(path, 2 ** 40); // sparse: it takes no room
  await expect(readRegularFile(path)).rejects.toThrow(
    `${path}: is a file of ${2 ** 40} bytes; at most ${MAX_BYTES.scan} bytes are read for this use`,
  );
  await writeFile(join(folder, 'ten'), '0123456789');
  expect(String(await readRegularFile(join(folder, 'ten'), { maxBytes: 10 }))).toBe('0123456789');
  await expect(readRegularFile(join(folder, 'ten'), { maxBytes: 9 })).rejects.toThrow(
    /of 10 bytes; at most 9 bytes/,
  );
});

test('a file that grows while it is read is bounded too', async () => {
  const path = join(folder, 'growing');
  await writeFile(path, '012345');
  const chunks = regularFileChunks(path, { chunkSize: 6, maxBytes: 8 });
  expect(String((await chunks.next()).value)).toBe('012345');
  await appendFile(path, '678');
  await expect(chunks.next()).rejects.toThrow(/that grows while it is read; at most 8 bytes/);
});

const inProc = existsSync('/proc/self/status') ? test : test.skip;
inProc('a file of /proc, which reports size 0, is read up to the bound (Linux only)', async () => {
  expect(await readRegularText('/proc/self/status')).toMatch(/^VmSize:/m);
  await expect(readRegularFile('/proc/self/status', { maxBytes: 10 })).rejects.toThrow(/at most 10 bytes/);
});

test('names that are not UTF-8 are set apart, names that hold U+FFFD are not', async () => {
  const at = join(folder, 'names');
  await mkdir(at);
  await writeFile(join(at, 'plain'), '');
  expect((await readFolder(at)).notUtf8).toEqual([]);
  await writeFile(join(at, 'legal \ufffd'), '');
  const invalid = Buffer.concat([Buffer.from(`${at}/bad`), Buffer.of(0xff, 0xfe)]);
  await mkdir(invalid).catch(() => undefined); // macOS refuses such a name
  const { entries, notUtf8 } = await readFolder(at);
  expect(entries.map(({ name }) => name).sort()).toEqual(['legal \ufffd', 'plain']);
  expect(notUtf8).toEqual(process.platform === 'darwin' ? [] : ['bad\\xff\\xfe']);
});
