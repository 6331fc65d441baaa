// The prediction server with an ensemble that only waits: admission, limits, answers, the log and the end.
import { mkdir, mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '@ct-ensemble/core';
import type { Answer, Ensemble } from '@ct-ensemble/ensemble';
import { requestText, sendRaw } from './client.fixture.ts';
import { httpRequests, niftiScan, zipRequests } from './hostile.fixture.ts';
import { openServer, type PredictionServer, type ServerOptions } from './server.ts';
import { zipOf } from './zip.fixture.ts';

const MB = 2 ** 20;
const interval = { estimate: 0.5, low: null, high: null };
const scores = {
  scans: 4,
  patients: 4,
  macroF1: interval,
  accuracy: interval,
  auroc: null,
  confusion: [
    [1, 1],
    [1, 1],
  ],
  rough: true,
};
const manifest = {
  name: 'waiting',
  classes: ['a', 'b'],
  members: [
    {
      name: 'one',
      architecture: 'densenet_small',
      fold: null,
      pretrained: false,
      views: [4],
      seed: 1,
      bestEpoch: 1,
      macroF1: 0.5,
    },
  ],
  preparation: {
    volumes: [{ depth: 4, height: 16, width: 16, slices: 'all', mask: null }],
    filter: null,
    segmenter: null,
  },
  combination: { method: 'mean', weights: null },
  engine: { precision: 'float32', trainedWith: [] },
  batches: { val: 1, test: 1 },
  calibration: {
    source: 'validation',
    scans: 4,
    patients: 4,
    temperature: { value: 1, logLossBefore: 1, logLossAfter: 1 },
    conformal: [{ alpha: 0.1, method: 'lac', threshold: 0.5, coverageRange: [0.5, 1], guarantee: '' }],
  },
  scores: { calibration: scores, test: null },
  training: { scans: 4, perClass: [2, 2], ranges: {}, valueFindings: [] },
  weights: { type: 'float32', difference: null },
  run: { recipe: 'waiting', task: null, dataset: '0' },
  packedWith: { ctEnsemble: '0.1.0' },
} as unknown as Ensemble['manifest'];

/** Scans that are being answered, to be let go. */
let held: (() => void)[] = [];
let isHolding = false;
let failure: Error | undefined;
let seen: string[] = [];

const ensemble = {
  id: 'f'.repeat(64),
  manifest,
  classes: ['a', 'b'],
  members: ['one'],
  alphas: [0.1, 0.2],
  engine: 'nothing',
  device: 'cpu:1',
  async *predict(scans: Iterable<{ key: string; slices: readonly string[] }>, { alpha } = { alpha: 0 }) {
    for (const { key, slices } of scans) {
      seen.push(...slices);
      if (isHolding) await new Promise<void>((resolve) => held.push(resolve));
      if (failure) throw failure;
      yield {
        scan: key,
        failure: null,
        probabilities: [0.25, 0.75],
        findings: [],
        alpha,
        slices: slices.length,
      } as unknown as Answer;
    }
  },
} as unknown as Ensemble;

let parent: string;
let server: PredictionServer;
let log: string[];
const port = () => Number(new URL(server.address).port);

async function start(options: ServerOptions = {}) {
  log = [];
  server = await openServer(ensemble, {
    temp: parent,
    maxBytes: 2 * MB,
    maxUnpackedBytes: 20 * MB,
    uploadTimeout: 2,
    maxQueued: 1,
    log: (line) => log.push(line),
    ...options,
  });
}

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'ct-ensemble-serve-test-'));
  [held, isHolding, failure, seen] = [[], false, undefined, []];
});
afterEach(async () => {
  for (const release of held) release();
  await server?.close(0);
  await rm(parent, { recursive: true, force: true });
});

const slices = Array.from({ length: 6 }, (_, i) => ({ name: `${i}.jpg`, data: Buffer.from(`slice ${i}`) }));

async function post(
  body: Uint8Array = zipOf(slices),
  { path = '/predict', ...headers }: Record<string, string> = {},
) {
  const response = await fetch(`${server.address}${path}`, {
    method: 'POST',
    body: new Uint8Array(body),
    headers,
  });
  return {
    status: response.status,
    headers: response.headers,
    json: (await response.json()) as Record<string, unknown>,
  };
}

async function get(path: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${server.address}${path}`, { headers });
  return { status: response.status, text: await response.text() };
}

const until = async (isTrue: () => boolean | Promise<boolean>) => {
  while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, 5));
};

test('a zip archive and a volume are answered; nothing stays on disk', async () => {
  await start();
  const { status, json, headers } = await post(zipOf(slices), { path: '/predict?alpha=0.2' });
  expect([status, json['probabilities'], json['alpha'], json['slices']]).toEqual([200, [0.25, 0.75], 0.2, 6]);
  expect(json['scan']).toBe(json['requestId']);
  expect(headers.get('x-request-id')).toBe(json['requestId']);
  expect((await post(niftiScan())).status).toBe(200);
  expect(seen.at(-1)).toMatch(/scan\.nii$/);
  expect((await readdir(server.folder)).filter((name) => !name.startsWith('.'))).toEqual([]);
  await until(() => log.length === 2);
  expect(JSON.parse(log[0]!)).toMatchObject({
    status: 200,
    route: '/predict',
    body: 'zip',
    id: json['requestId'],
  });
});

test('broken and hostile requests that need no reader are answered, then a sound one', async () => {
  await start({ maxQueued: 300 });
  const requests = [...httpRequests(2 * MB), ...zipRequests(slices, 20 * MB)].filter(
    // These need a reader, or seconds of waiting: the slow test has them.
    ({ name }) =>
      !/two scans|text as slices|in gzip|says nothing|one byte at a time|chunks that never/.test(name),
  );
  const wrong = await Promise.all(
    requests.map(async ({ name, allowed, send }) => {
      const { outcome, text } = await send(port());
      return allowed.includes(outcome) ? [] : [`${name}: ${outcome} ${text.slice(-200)}`];
    }),
  );
  expect(wrong.flat()).toEqual([]);
  expect((await post()).status).toBe(200);
  expect((await readdir(server.folder)).filter((name) => !name.startsWith('.'))).toEqual([]);
  expect(await readdir(parent)).toHaveLength(1);
}, 60_000);

test('one scan is computed, one waits, the next gets 503 and Retry-After; a client that leaves frees its place', async () => {
  await start();
  isHolding = true;
  const first = post();
  await until(() => held.length === 1);
  const leaving = new AbortController();
  const second = fetch(`${server.address}/predict`, {
    method: 'POST',
    body: new Uint8Array(zipOf(slices)),
    signal: leaving.signal,
  });
  const queue = async () => /^ct_ensemble_queue_length (\d+)/m.exec((await get('/metrics')).text)![1];
  await until(async () => (await queue()) === '1');
  const { status, headers, json } = await post();
  expect([status, Number(headers.get('retry-after')) > 0]).toEqual([503, true]);
  expect(json['error']).toMatchObject({ kind: 'queue-full', message: '2 scans are in progress already' });
  leaving.abort();
  await expect(second).rejects.toThrow();
  await until(async () => /^ct_ensemble_scans_in_progress 1$/m.test((await get('/metrics')).text));
  expect(await queue()).toBe('0');
  const third = post();
  await until(async () => (await queue()) === '1');
  isHolding = false;
  held[0]!();
  expect([(await first).status, (await third).status]).toEqual([200, 200]);
  expect(held).toHaveLength(1); // The scan of the client that left was never computed.
});

test('the space on disk is bounded for all requests together', async () => {
  await start({ diskQuota: MB / 2 });
  const { status, json } = await post(Buffer.concat([niftiScan(), Buffer.alloc(MB)]));
  expect([status, json['error']]).toEqual([503, expect.objectContaining({ kind: 'disk-quota' })]);
  expect((await post()).status).toBe(200);
});

test('a request that takes too long is answered with 503, and its place is free when the device is', async () => {
  await start({ timeout: 1, maxQueued: 0 });
  isHolding = true;
  expect((await post()).json['error']).toMatchObject({ kind: 'too-late' });
  expect((await post()).json['error']).toMatchObject({ kind: 'queue-full' });
  isHolding = false;
  held[0]!();
  await until(async () => (await post()).status === 200);
});

test('with a token: 401 without it, and only health is open', async () => {
  const token = 'a-token-of-enough-characters';
  await start({ token });
  const { status, headers } = await post();
  expect([status, headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
  expect((await post(undefined, { Authorization: `Bearer ${token}x` })).status).toBe(401);
  expect((await post(undefined, { Authorization: `Bearer ${token}` })).status).toBe(200);
  expect((await get('/healthz')).status).toBe(200);
  expect((await get('/readyz')).status).toBe(200);
  expect((await get('/')).status).toBe(401);
  expect((await get('/metrics')).status).toBe(401);
  expect(log.join('')).not.toContain(token);
});

test('GET / describes the model; /metrics counts by route and status', async () => {
  await start();
  const model = JSON.parse((await get('/')).text) as Record<string, unknown>;
  expect(model).toMatchObject({ name: 'waiting', id: ensemble.id, classes: ['a', 'b'], engine: 'nothing' });
  expect(model['card']).toMatch(/Not a medical device/);
  expect(JSON.stringify(model)).not.toContain(parent);
  expect((await post(Buffer.from('text'))).status).toBe(415);
  const { text } = await get('/metrics');
  expect(text).toMatch(/^ct_ensemble_requests_total\{route="\/predict",status="415"\} 1$/m);
  expect(text).toMatch(/^ct_ensemble_upload_bytes_on_disk 0$/m);
  expect(text).toMatch(/^process_resident_memory_bytes [1-9]/m);
});

test('a failed ensemble: 500 without details, then 503, not ready, and the owner is told', async () => {
  await start();
  failure = new Error(`the thread has ended at ${server.folder}`);
  const { status, json } = await post();
  expect([status, json['error']]).toEqual([
    500,
    { kind: 'server-failed', message: 'the server failed; its log names this request' },
  ]);
  expect(await server.broken).toBe(failure);
  expect((await post()).status).toBe(503);
  expect((await get('/readyz')).status).toBe(503);
  expect((await get('/healthz')).status).toBe(200);
  expect(log.join('\n')).toContain('the thread has ended');
});

test('at its end the scans in progress are answered and new ones are not taken', async () => {
  await start();
  isHolding = true;
  const first = post();
  await until(() => held.length === 1);
  const { folder } = server;
  const closed = server.close(20);
  held[0]!();
  expect((await first).status).toBe(200);
  await closed;
  expect(await readdir(parent)).not.toContain(folder.slice(parent.length + 1));
  await expect(get('/healthz')).rejects.toThrow();
});

test('folders of servers that have ended are deleted at the start, no others', async () => {
  const [dead, young] = ['dead', 'young'].map((name) => join(parent, `ct-ensemble-serve-${name}`));
  for (const folder of [dead!, young!, join(parent, 'other')])
    await mkdir(join(folder, 'scan'), { recursive: true });
  await utimes(dead!, 1, 1);
  await start();
  const own = server.folder.slice(parent.length + 1);
  expect(await readdir(parent)).toEqual([own, 'ct-ensemble-serve-young', 'other'].sort());
});

test('a port in use is a named error, and leaves no folder', async () => {
  await start();
  await expect(openServer(ensemble, { port: port(), temp: parent })).rejects.toThrow(UserError);
  expect(await readdir(parent)).toHaveLength(1);
});

test('a client that asks before it sends is told to go on', async () => {
  await start();
  const body = zipOf(slices);
  const head = requestText('POST /predict', {
    'Content-Length': body.length,
    Expect: '100-continue',
    Connection: 'close',
  });
  const { text } = await sendRaw(port(), [head, body], { pause: 50 });
  expect(text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/);
});
