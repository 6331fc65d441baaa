// Downloads from a local server that implements the part of the hub's protocol that @huggingface/hub uses.
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fetchWeights, keepWeights } from './fetch.ts';

const repository = 'timm/some_net.tv_in1k';
const commit = 'c'.repeat(40);
const content = Buffer.from(Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * i) >> 3));
const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const sha256 = digest(content);
/** Another revision: as long, with other bytes. */
const newer = { commit: 'd'.repeat(40), content: Buffer.from(content).reverse(), sha256: '' };
newer.sha256 = digest(newer.content);

let server: Server;
let folder: string;
/** The first byte of each range that was requested, without the client's initial request of one byte. */
let starts: number[];
/** Bytes after which the connection breaks. */
let breakAfter: number;
let given: Buffer;

function answer(request: IncomingMessage, response: ServerResponse): unknown {
  const path = request.url!;
  const [, revision] =
    new RegExp(`^/api/models/${repository}/paths-info/(main|newer|${commit})$`).exec(path) ?? [];
  if (revision !== undefined) {
    response.setHeader('content-type', 'application/json');
    const lfs = { oid: revision === 'newer' ? newer.sha256 : sha256, size: content.length, pointerSize: 1 };
    const file = { path: 'model.safetensors', type: 'file', oid: 'x', size: content.length, lfs };
    return response.end(
      JSON.stringify([
        {
          ...file,
          lastCommit: { id: revision === 'newer' ? newer.commit : commit, title: '', date: '2026-01-01' },
        },
      ]),
    );
  }
  const isNewer = path === `/${repository}/resolve/${newer.commit}/model.safetensors`;
  if (!isNewer && path !== `/${repository}/resolve/${commit}/model.safetensors`)
    return response.writeHead(404).end();
  const served = isNewer ? newer.content : given;
  const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? 'bytes=0-')!;
  const end = to === '' ? served.length : Number(to) + 1;
  response.writeHead(206, {
    'content-range': `bytes ${from}-${end - 1}/${served.length}`,
    etag: `"${sha256}"`,
    'content-length': end - Number(from),
  });
  const body = served.subarray(Number(from), end);
  if (body.length === 1) return response.end(body);
  starts.push(Number(from));
  if (body.length <= breakAfter) return response.end(body);
  return response.write(body.subarray(0, breakAfter), () => setTimeout(() => response.destroy(), 200));
}

beforeAll(async () => {
  server = createServer(answer);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
});
afterAll(() => server.close());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-weights-'));
  starts = [];
  breakAfter = Infinity;
  given = content;
});

const options = () => ({
  repository,
  file: join(folder, 'net', 'model.safetensors'),
  hubUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
});

test('fetches once, and records what was fetched', async () => {
  const record = { repository, revision: commit, bytes: content.length, sha256, trust: 'first-use' };
  let last = 0;
  expect(await fetchWeights({ ...options(), onProgress: (done) => (last = done) })).toEqual({
    ...record,
    fetched: true,
  });
  expect(last).toBe(content.length);
  expect((await readFile(options().file)).equals(content)).toBe(true);
  expect(JSON.parse(await readFile(join(folder, 'net', 'model.json'), 'utf8'))).toEqual(record);
  expect(await fetchWeights({ ...options(), hubUrl: 'http://127.0.0.1:1' })).toEqual({
    ...record,
    fetched: false,
  });
});

test('resumes where a connection broke', async () => {
  breakAfter = 1_000_000;
  await expect(fetchWeights(options())).rejects.toThrow(
    /cannot be fetched from .* run it again, the bytes received so far are kept/,
  );
  const [part] = await readdir(join(folder, 'net'));
  const { size: received } = await stat(join(folder, 'net', part!)); // on a busy machine fewer bytes than were sent
  expect(received).toBeGreaterThan(0);
  breakAfter = Infinity;
  await fetchWeights(options());
  expect(starts).toEqual([0, received]);
  expect((await readFile(options().file)).equals(content)).toBe(true);
  expect((await readdir(join(folder, 'net'))).sort()).toEqual(['model.json', 'model.safetensors']);
});

test('refuses bytes with another SHA-256 than the hub states, and starts again', async () => {
  given = Buffer.from(content);
  given[5]! ^= 1;
  await expect(fetchWeights(options())).rejects.toThrow(/SHA-256 is .*, the hub's is .*run it again/);
  expect(await readdir(join(folder, 'net'))).toEqual([]);
  given = content;
  expect((await fetchWeights(options())).fetched).toBe(true);
});

test('another revision is fetched, the same under another name is not', async () => {
  await fetchWeights(options());
  expect(await fetchWeights({ ...options(), revision: 'main' })).toMatchObject({
    revision: commit,
    fetched: false,
  });
  expect(await fetchWeights({ ...options(), revision: 'newer' })).toMatchObject({
    revision: newer.commit,
    sha256: newer.sha256,
    fetched: true,
  });
  expect((await readFile(options().file)).equals(newer.content)).toBe(true);
  expect(starts).toEqual([0, 0]);
  await expect(fetchWeights({ ...options(), revision: 'other' })).rejects.toThrow(
    /→ give another --revision$/,
  );
});

test('a download that was complete but not yet in place is not requested again', async () => {
  const file = options().file;
  await mkdir(dirname(file));
  await writeFile(`${file}.${sha256.slice(0, 16)}.part`, content);
  expect(await fetchWeights(options())).toMatchObject({ sha256, fetched: true });
  expect(starts).toEqual([]);
});

test('a file without its record is fetched again', async () => {
  await fetchWeights(options());
  await rm(join(folder, 'net', 'model.json'));
  expect(await fetchWeights(options())).toMatchObject({ fetched: true });
});

test('a repository that does not exist, and a hub that cannot be reached', async () => {
  await expect(fetchWeights({ ...options(), repository: 'timm/none' })).rejects.toThrow(
    /timm\/none: cannot be fetched/,
  );
  const nowhere = fetchWeights({ ...options(), hubUrl: 'http://127.0.0.1:1' });
  await expect(nowhere).rejects.toThrow(/--file FILE/);
});

test('a given file is stored where a fetched one would be', async () => {
  const given = join(folder, 'given');
  await writeFile(given, content);
  await keepWeights(given, options());
  expect(await fetchWeights({ ...options(), hubUrl: 'http://127.0.0.1:1' })).toMatchObject({
    sha256,
    fetched: false,
  });
});

describe('a SHA-256 that is known beforehand', () => {
  const other = 'e'.repeat(64);

  test('is compared with the hub before anything is downloaded', async () => {
    await expect(fetchWeights({ ...options(), pinned: other })).rejects.toThrow(
      `${repository}: the SHA-256 of model.safetensors is ${sha256} on the hub, and ${other} is the one pinned in this ` +
        `version → if you know that the file was replaced on purpose, give --sha256 ${sha256}`,
    );
    await expect(fetchWeights({ ...options(), sha256: other })).rejects.toThrow(`${other} is the one given`);
    expect(starts).toEqual([]);
    expect(await fetchWeights({ ...options(), pinned: sha256 })).toMatchObject({ trust: 'pinned' });
  });

  test('that is given goes before the pinned one, and is remembered', async () => {
    const chosen = { ...options(), pinned: other };
    expect(await fetchWeights({ ...chosen, sha256 })).toMatchObject({ trust: 'chosen', fetched: true });
    expect(await fetchWeights(chosen)).toMatchObject({ trust: 'chosen', fetched: false });
  });

  test('pinned by a newer version makes a file of another one fetched again', async () => {
    await fetchWeights(options());
    await expect(fetchWeights({ ...options(), pinned: other })).rejects.toThrow(`${other} is the one pinned`);
    const fetchedOnce = { trust: 'chosen', fetched: false };
    expect(await fetchWeights({ ...options(), pinned: other, sha256 })).toMatchObject(fetchedOnce);
    expect(await fetchWeights({ ...options(), pinned: other })).toMatchObject(fetchedOnce);
  });

  test('is that of a file that came another way', async () => {
    const given = join(folder, 'given');
    await writeFile(given, content);
    await expect(keepWeights(given, { ...options(), sha256: other })).rejects.toThrow(
      `${given}: its SHA-256 is ${sha256}, not the given ${other}`,
    );
    expect(await keepWeights(given, { ...options(), sha256, pinned: other })).toMatchObject({
      trust: 'chosen',
    });
    expect(await keepWeights(given, { ...options(), pinned: sha256 })).toMatchObject({ trust: 'pinned' });
  });
});

test('a file that was changed in place is fetched again', async () => {
  await fetchWeights(options());
  await writeFile(options().file, newer.content);
  expect(await fetchWeights(options())).toMatchObject({ sha256, fetched: true });
  expect((await readFile(options().file)).equals(content)).toBe(true);
});
