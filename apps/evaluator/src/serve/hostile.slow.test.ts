// More than 200 requests of broken and hostile clients to a server with a real ensemble: each is answered or its connection closed, the
// process stays within its memory, nothing is left on disk, and a sound request is answered right after.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evaluatorProgram, shortTraining, trainRun } from '../testing/tiny-run.ts';
import { requestText, sendRaw } from './client.fixture.ts';
import {
  damagedRequests,
  type HostileRequest,
  httpRequests,
  niftiScan,
  volumeRequests,
  zipRequests,
} from './hostile.fixture.ts';
import { zipOf, type ZipEntry } from './zip.fixture.ts';

const recipe = `
name: tiny
task: detection
description: An ensemble for the test.
volume: { depth: 4, height: 16, width: 16 }
members: { architectures: [densenet_small], seeds: [1, 2] }
${shortTraining(4)}`;

const MB = 2 ** 20;
/** Limits of the server, in MB: a body, and a scan when it is unpacked. */
const [BODY, UNPACKED] = [4, 48];

let folder: string;
let server: ChildProcess;
let port: number;
const log: string[] = [];
let slices: ZipEntry[];
let expected: Record<string, unknown>;

const run = (file: string, args: string) => {
  const done = spawnSync(process.execPath, [file, ...args.split(' ')], { cwd: folder, encoding: 'utf8' });
  expect(done).toMatchObject({ status: 0 });
  return done.stdout;
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-hostile-'));
  await trainRun(folder, { text: recipe, phantoms: ['--scans', '8', '--size', '32'] });
  run(evaluatorProgram, 'pack --run run --out tiny.ctens --volumes volumes');
  const [scan] = await readdir(join(folder, 'data', 'test'));
  const path = join(folder, 'data', 'test', scan!);
  slices = await Promise.all(
    (await readdir(path)).map(async (name) => ({ name, data: await readFile(join(path, name)) })),
  );
  const printed = run(evaluatorProgram, `predict --model tiny.ctens --device cpu:1 --json data/test/${scan}`);
  expected = JSON.parse(printed.trim().split('\n').at(-1)!) as Record<string, unknown>;
  server = spawn(
    process.execPath,
    [
      evaluatorProgram,
      ...`serve --model tiny.ctens --device cpu:1 --port 0 --temp temp --max-mb ${BODY} --max-unpacked-mb ${UNPACKED}`.split(
        ' ',
      ),
      ...'--upload-timeout 4 --timeout 120 --max-scans-queued 4 --stop-timeout 20'.split(' '),
    ],
    { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  port = await new Promise((resolve, reject) => {
    let rest = '';
    server.on('exit', () => reject(new Error(`the server has not started: ${log.join('\n')}`)));
    server.stderr!.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop()!;
      log.push(...lines);
      const found = /answers on http:\/\/127\.0\.0\.1:(\d+)/.exec(lines.join('\n'));
      if (found) resolve(Number(found[1]));
    });
  });
}, 600_000);
afterAll(async () => {
  server?.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

const url = (path: string) => `http://127.0.0.1:${port}${path}`;

/** Sends the sound scan; a full queue is asked again, as Retry-After says. */
async function soundAnswer(): Promise<Record<string, unknown>> {
  for (;;) {
    const response = await fetch(url('/predict'), {
      method: 'POST',
      headers: { 'Content-Type': 'application/zip' },
      body: new Uint8Array(zipOf(slices)),
    });
    if (response.status !== 503) {
      expect(response.status).toBe(200);
      return (await response.json()) as Record<string, unknown>;
    }
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    await response.text();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function residentBytes(): Promise<number> {
  // A connection of its own: one that is kept may be closed by the server just when it is used again.
  const { text } = await sendRaw(port, [requestText('GET /metrics', { Connection: 'close' })]);
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1] ?? 0); // 0: refused among so many
}

/** Folders of requests in the temporary folder. */
async function leftOnDisk(): Promise<string[]> {
  const [own] = await readdir(join(folder, 'temp'));
  return (await readdir(join(folder, 'temp', own!))).filter((name) => !name.startsWith('.'));
}

/** Sends the requests, `parallel` at a time. Returns what came back that should not have. */
async function attack(requests: readonly HostileRequest[], parallel: number): Promise<string[]> {
  const wrong: string[] = [];
  const left = [...requests];
  const worker = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      let answer = await next.send(port);
      // Others of this test hold the places.
      for (let again = 0; answer.outcome === 503 && again < 100; again++) {
        await new Promise((resolve) => setTimeout(resolve, 200));
        answer = await next.send(port);
      }
      const { outcome, text } = answer;
      if (!next.allowed.includes(outcome)) wrong.push(`${next.name}: ${outcome} ${text.slice(-300)}`);
      if (typeof outcome === 'number' && outcome >= 400 && !/"message":"[^"]{5,}/.test(text))
        wrong.push(`${next.name}: no message: ${text}`);
      if (/node_modules|\.ts:\d|\.js:\d|root:x|ct-ensemble-/.test(text))
        wrong.push(`${next.name}: reveals ${text}`);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return wrong;
}

test('more than 200 hostile requests, then a sound one', async () => {
  // Made first: this takes seconds, in which the test's own connections would time out.
  const sound = zipOf(slices);
  const requests = [
    ...httpRequests(BODY * MB),
    ...zipRequests(slices, UNPACKED * MB),
    ...volumeRequests(),
    ...damagedRequests(sound, 'zip', 24),
    ...damagedRequests(niftiScan(), 'nifti', 24),
  ];
  const first = await soundAnswer();
  const before = await residentBytes();
  let [peak, samples] = [before, 0];
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      const bytes = await residentBytes();
      if (bytes > 0) samples++;
      peak = Math.max(peak, bytes);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  expect(requests.length).toBeGreaterThan(200);
  const started = performance.now();
  const wrong = await attack(requests, 5);
  const seconds = (performance.now() - started) / 1000;
  isOver = true;
  await watching;
  console.info(
    `${requests.length} requests in ${seconds.toFixed(0)} s; resident memory before ${(before / MB).toFixed(0)} MB, at most ${(peak / MB).toFixed(0)} MB`,
  );
  expect(wrong).toEqual([]);
  expect(Math.min(before, samples)).toBeGreaterThan(10);
  expect(server.exitCode).toBeNull();
  const { requestId, ...answer } = await soundAnswer();
  expect(requestId).toMatch(/^[0-9a-f-]{36}$/);
  expect(answer).toEqual({ ...expected, scan: requestId });
  expect(answer['probabilities']).toEqual(first['probabilities']);
  expect(await leftOnDisk()).toEqual([]);
  // The limit of a scan may be taken three times: as a file, as its voxels and as slices; the rest is the allocators'.
  expect(peak - before).toBeLessThan((3 * UNPACKED + 250) * MB);
}, 600_000);

test('a hundred requests at once: each is answered or told to come again', async () => {
  const body = new Uint8Array(zipOf(slices));
  const responses = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const response = await fetch(url('/predict'), { method: 'POST', body });
      return {
        status: response.status,
        retry: response.headers.get('retry-after'),
        answer: await response.json(),
      };
    }),
  );
  const answered = responses.filter(({ status }) => status === 200);
  const refused = responses.filter(({ status }) => status === 503);
  expect(answered.length).toBeGreaterThanOrEqual(5);
  expect(answered.length + refused.length).toBe(100);
  for (const { answer } of answered)
    expect((answer as typeof expected)['probabilities']).toEqual(expected['probabilities']);
  for (const { retry } of refused) expect(Number(retry)).toBeGreaterThan(0);
  expect(await leftOnDisk()).toEqual([]);
}, 300_000);

test('the log is lines of JSON that name no file of a scan', () => {
  const lines = log.filter((line) => line.startsWith('{'));
  expect(lines.length).toBeGreaterThan(200);
  for (const line of lines) {
    expect(JSON.parse(line)).toMatchObject({ time: expect.any(String) as string });
    expect(line).not.toMatch(/\.jpg|\.dcm|scan\.|passwd|evil/);
  }
  expect(log.filter((line) => !line.startsWith('{'))).toEqual([expect.stringMatching(/answers on/)]);
});

test('SIGTERM: the requests in progress are answered, then the exit code is 0 and the folder is gone', async () => {
  const answers = Promise.all([soundAnswer(), soundAnswer()]);
  await new Promise((resolve) => setTimeout(resolve, 100));
  server.kill('SIGTERM');
  const exit = once(server, 'exit');
  for (const answer of await answers) expect(answer['probabilities']).toEqual(expected['probabilities']);
  expect(await exit).toEqual([0, null]);
  expect(await readdir(join(folder, 'temp'))).toEqual([]);
  await expect(fetch(url('/healthz'))).rejects.toThrow();
}, 120_000);
