// The server of the live page: who gets an answer, what it sends, and that it holds nothing up.
import { execFile } from 'node:child_process';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { UserError } from '@ct-ensemble/core';
import { madeRun, type MadeRun } from '../testing/made-run.ts';
import { type Dashboard, type DashboardMessage, openDashboard } from './server.ts';

let made: MadeRun;
let dashboard: Dashboard;
beforeAll(async () => {
  made = await madeRun(['one', 'two']);
  await made.history('one', [0.5, 0.25]);
  await made.file('one', 'log.txt', 'first <b>\nlast\n');
  await made.file('../outside', 'log.txt', 'secret');
  dashboard = await openDashboard({ run: made.run, interval: 20 });
});
afterAll(() => dashboard.end());

interface Asked {
  method?: string;
  headers?: Record<string, string>;
}
async function ask(path: string, { method = 'GET', headers = {} }: Asked = {}) {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const { port, pathname } = new URL(dashboard.address);
    const whole = path.startsWith('!') ? path.slice(1) : pathname + path;
    request({ host: '127.0.0.1', port, path: whole, method, headers }, resolve).on('error', reject).end();
  });
  let text = '';
  for await (const piece of response) text += String(piece);
  return { code: response.statusCode, headers: response.headers, text };
}

test('the page forbids everything but itself', async () => {
  const { code, headers, text } = await ask('');
  expect(code).toBe(200);
  expect(headers).toMatchObject({
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  });
  expect(headers['content-security-policy']).toMatch(
    /^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-/,
  );
  expect(text).toMatch(/^<!doctype html>/);
  expect(text).not.toMatch(
    /innerHTML|insertAdjacentHTML|document\.write|https?:\/\/(?!www\.w3\.org\/2000\/svg)/,
  );
});

test('the token is random, and without it nothing is answered', async () => {
  expect(dashboard.address).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/[0-9a-f]{32}\/$/);
  const token = new URL(dashboard.address).pathname.split('/')[1]!;
  for (const path of [
    '/',
    '/events',
    '//',
    `/${token.slice(1)}/`,
    `/${token}0/`,
    `/x/${token}/`,
    `/?${token}`,
    '*',
  ])
    expect(await ask(`!${path}`)).toMatchObject({ code: 403 });
  expect(await ask(`!/${token}`)).toMatchObject({ code: 308, headers: { location: `/${token}/` } });
  expect(await ask('nothing')).toMatchObject({ code: 404 });
  const other = await openDashboard({ run: made.run });
  expect(new URL(other.address).pathname).not.toBe(new URL(dashboard.address).pathname);
  await other.end();
});

test.each(['evil.example', 'evil.example:80', '127.0.0.1.evil.example', '0.0.0.0', '[::]:1'])(
  'a request for the host "%s" is refused: a name that was made to lead here',
  async (host) => {
    const { code, text } = await ask('', { headers: { host } });
    expect({ code, text }).not.toMatchObject({ code: 200 });
    expect(text).not.toContain('<!doctype');
  },
);

test.each(['127.0.0.1', 'localhost:1234', 'LOCALHOST', '[::1]:9'])(
  'the host "%s" is this machine',
  async (host) => {
    expect(await ask('', { headers: { host } })).toMatchObject({ code: 200 });
  },
);

test.each(['POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS'])('%s is refused', async (method) => {
  expect(await ask('', { method })).toMatchObject({ code: 405, headers: { allow: 'GET' } });
});

test('logs of members only', async () => {
  expect(await ask('log?member=one')).toMatchObject({ code: 200, text: 'first <b>\nlast' });
  expect((await ask('log?member=one')).headers['content-type']).toMatch(/^text\/plain/);
  expect(await ask('log?member=two')).toMatchObject({ code: 200, text: '' });
  for (const name of ['three', '', '..', '../outside', '..%2Foutside', '__proto__'])
    expect(await ask(`log?member=${name}`)).toMatchObject({ code: 404 });
  expect(await ask('log')).toMatchObject({ code: 404 });
});

/** The messages of the event stream, as they come. */
async function* messages(address: string): AsyncGenerator<DashboardMessage | 'end'> {
  const response = await fetch(`${address}events`);
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  let text = '';
  for await (const piece of response.body!) {
    text += Buffer.from(piece).toString();
    const events = text.split('\n\n');
    text = events.pop()!;
    for (const event of events)
      if (event.startsWith('event: end')) yield 'end';
      else yield JSON.parse(event.slice('data: '.length)) as DashboardMessage;
  }
}

test('every page gets the state, whole curves at first, later only those that have changed, and the end', async () => {
  const own = await madeRun(['one', 'two']);
  await own.history('one', [0.5, 0.25]);
  const live = await openDashboard({ run: own.run, interval: 20 });
  const pages = [messages(live.address), messages(live.address)];
  for (const page of pages) {
    const { value } = await page.next();
    expect(value).toMatchObject({ kind: 'state', status: { recipe: 'tiny', state: 'interrupted' } });
    expect((value as { curves: object }).curves).toEqual({
      one: { loss: [0.5, 0.25], macroF1: [0.5, 0.75] },
      two: { loss: [], macroF1: [] },
    });
  }
  await own.history('two', [0.125]);
  for (const page of pages)
    for (;;) {
      const { value } = await page.next();
      const { curves } = value as { curves: Record<string, object> };
      if (Object.keys(curves).length === 0) continue;
      expect(curves).toEqual({ two: { loss: [0.125], macroF1: [0.875] } });
      break;
    }
  await own.file('..', 'plan.json', 'no plan');
  for (;;) {
    const { value } = await pages[0]!.next();
    if ((value as DashboardMessage).kind === 'state') continue;
    expect(value).toMatchObject({
      kind: 'problem',
      problem: expect.stringMatching(/plan\.json: is not JSON/),
    });
    break;
  }
  const end = live.end();
  for (const page of pages) {
    let last;
    for await (const message of page) last = message;
    expect(last).toBe('end');
  }
  await end;
  await expect(fetch(live.address)).rejects.toThrow();
});

test('a port that is in use is one clear error', async () => {
  const port = Number(new URL(dashboard.address).port);
  await expect(openDashboard({ run: made.run, port })).rejects.toThrow(UserError);
  await expect(openDashboard({ run: made.run, port })).rejects.toThrow(
    /the port \d+ is in use → name another port/,
  );
});

test('requests that are no HTTP, and connections that are cut, disturb nobody', async () => {
  const port = Number(new URL(dashboard.address).port);
  for (const text of [
    '\0\0\0\r\n\r\n',
    'GET / HTTP/1.1\r\n',
    `GET ${new URL(dashboard.address).pathname}events HTTP/1.1\r\nHost: localhost\r\n\r\n`,
  ])
    await new Promise<void>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.end(text, () => socket.destroy()));
      socket.on('close', () => resolve());
      socket.on('error', () => {});
    });
  expect(await ask('')).toMatchObject({ code: 200 });
});

test('an open page does not keep the process alive', async () => {
  const module = fileURLToPath(new URL('../../dist/dashboard/server.js', import.meta.url));
  const program = `
    const { openDashboard } = await import(${JSON.stringify(module)});
    const { get } = await import('node:http');
    const { address } = await openDashboard({ run: ${JSON.stringify(made.run)}, interval: 20 });
    const page = get(address + 'events', (response) => response.once('data', () => console.log('open')));
    page.on('socket', (socket) => socket.unref());
    setTimeout(() => console.log('work is done'), 1000);
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
  expect(stdout).toBe('open\nwork is done\n');
});
