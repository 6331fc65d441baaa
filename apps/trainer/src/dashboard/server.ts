// The live page of a run: a small HTTP server on this machine's loopback address, which sends the state that the run's files
// have. It only reads, answers nobody without the token in its address, and no training depends on it.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import { asUserError, codeOf, messageOf, readRegularText, UserError } from '@ct-ensemble/core';
import { readLogTail, readPlan, type RunReader, runReader } from '@ct-ensemble/ensemble';

export interface DashboardOptions {
  /** Folder of the run. */
  run: string;
  /** Default: 0, any free port. */
  port?: number;
  /** Milliseconds between two states. Default: 1000. */
  interval?: number;
  /** Whether the server keeps the process alive. Default: false. */
  keepsAlive?: boolean;
}

export interface Dashboard {
  /** Where the page is, with the token. */
  address: string;
  /** Sends the last state to the open pages, which keep it, and closes the server. */
  end(): Promise<void>;
}

/** What the server sends to an open page. */
export type DashboardMessage =
  | { kind: 'state'; status: Awaited<ReturnType<RunReader['status']>>; curves: Record<string, Curves> }
  /** The state cannot be read, for instance because the run's folder was moved. */
  | { kind: 'problem'; problem: string };

/** The finished epochs of a member, in order. */
export interface Curves {
  loss: number[];
  macroF1: (number | null)[];
}

/** Open pages at the same time, at most. */
const MOST_PAGES = 16;
/** Bytes that wait for a page which does not read them; beyond that it gets no further states until it has read. */
const MOST_WAITING = 1 << 20;
/** Lines of a log that the page shows. */
const LOG_LINES = 200;
/** Names by which a browser on this machine, or behind a tunnel to it, may address the server. */
const ownNames = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** An open page and the histories that it has already. */
interface Page {
  response: ServerResponse;
  stamps: Map<string, string>;
}

/** Starts the server. @throws {UserError} if the port cannot be had. */
export async function openDashboard(options: DashboardOptions): Promise<Dashboard> {
  const { run, port = 0, interval = 1000, keepsAlive = false } = options;
  const token = randomBytes(16).toString('hex');
  const html = await readRegularText(
    fileURLToPath(new URL('../../src/dashboard/page.html', import.meta.url)),
  );
  const reader = runReader(run);
  const pages = new Set<Page>();
  let timer: NodeJS.Timeout | undefined;
  let reading: Promise<void> | undefined;
  const send = () => (reading ??= sendState(reader, pages).finally(() => (reading = undefined)));
  const follow = (response: ServerResponse) => {
    if (pages.size >= MOST_PAGES)
      return void answer(response, { code: 503, text: 'Too many pages are open.' });
    response.writeHead(200, { ...headers, 'Content-Type': 'text/event-stream' });
    response.flushHeaders();
    const page: Page = { response, stamps: new Map() };
    pages.add(page);
    response.on('close', () => {
      pages.delete(page);
      if (pages.size > 0) return;
      clearInterval(timer); // The run's files are read only while somebody looks.
      timer = undefined;
    });
    timer ??= setInterval(() => void send(), interval).unref();
    void send();
  };
  const server = createServer((request, response) => {
    response.on('error', () => {}); // The page was closed while it was written to.
    const path = allowed(request, response, token);
    if (path === undefined) return;
    const { pathname, searchParams } = new URL(path, 'http://localhost');
    if (pathname === '/')
      answer(response, {
        code: 200,
        text: html,
        more: {
          'Content-Type': 'text/html; charset=utf-8',
          'Content-Security-Policy': policyOf(html),
        },
      });
    else if (pathname === '/events') follow(response);
    else if (pathname === '/log') void sendLog(response, { run, member: searchParams.get('member') });
    else answer(response, { code: 404, text: 'There is no such page.' });
  });
  server.maxConnections = 4 * MOST_PAGES;
  server.on('clientError', (_, socket) => socket.destroy());
  if (!keepsAlive) {
    server.unref();
    server.on('connection', (socket) => socket.unref());
  }
  const actual = await listen(server, port);
  return {
    address: `http://127.0.0.1:${actual}/${token}/`,
    async end() {
      clearInterval(timer);
      await reading;
      if (pages.size > 0) await send();
      for (const { response } of pages) response.end('event: end\ndata: {}\n\n');
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      // A page that does not read must not hold up the end of the command.
      setTimeout(() => server.closeAllConnections(), 500).unref();
      await closed;
    },
  };
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        codeOf(error) === 'EADDRINUSE'
          ? new UserError(`the port ${port} is in use`, { remedy: 'name another port, or 0 for a free one' })
          : asUserError(error),
      ),
    );
    server.listen(port, '127.0.0.1', () => {
      server.removeAllListeners('error');
      server.on('error', () => {}); // Nothing that happens to the page ends the training.
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

/**
 * The path of a request behind the token; undefined if the request was refused: other methods than GET, other hosts than this
 * machine (a page elsewhere whose name was made to lead here), and addresses without the token.
 */
function allowed(request: IncomingMessage, response: ServerResponse, token: string): string | undefined {
  const host = (request.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
  if (!ownNames.has(host)) return refuse(response, 403, 'This address leads to another machine.');
  if (request.method !== 'GET') return refuse(response, 405, 'Only GET is allowed.');
  const [, given, rest] = /^\/([^/?]*)(\/?.*)$/s.exec(request.url ?? '') ?? [];
  const digest = (text: string) => createHash('sha256').update(text).digest();
  if (given === undefined || !timingSafeEqual(digest(given), digest(token)))
    return refuse(response, 403, 'The address lacks its token: open the one that the program has printed.');
  if (rest!.startsWith('/')) return rest;
  response.writeHead(308, { ...headers, Location: `/${token}/` }).end();
  return undefined;
}

function refuse(response: ServerResponse, code: number, text: string): undefined {
  answer(response, { code, text, ...(code === 405 && { more: { Allow: 'GET' } }) });
}

const headers = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

interface Answer {
  code: number;
  text: string;
  more?: Record<string, string>;
}

function answer(response: ServerResponse, { code, text, more = {} }: Answer) {
  response.writeHead(code, { ...headers, 'Content-Type': 'text/plain; charset=utf-8', ...more }).end(text);
}

/** Allows the page its own script and style and requests to this server, nothing else. */
function policyOf(html: string): string {
  const hash = (tag: string) => {
    const [, content] = new RegExp(`<${tag}>([^]*?)</${tag}>`).exec(html)!;
    return `'sha256-${createHash('sha256').update(content!).digest('base64')}'`;
  };
  return [
    "default-src 'none'",
    `script-src ${hash('script')}`,
    `style-src ${hash('style')}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

async function sendState(reader: RunReader, pages: ReadonlySet<Page>) {
  try {
    const status = await reader.status();
    const histories = await Promise.all(
      status.members.map(async ({ name }) => ({ name, ...(await reader.history(name)) })),
    );
    for (const page of pages) {
      if (page.response.writableLength > MOST_WAITING) continue;
      const changed = histories.filter(({ name, stamp }) => page.stamps.get(name) !== stamp);
      for (const { name, stamp } of changed) page.stamps.set(name, stamp);
      const curves = Object.fromEntries(
        changed.map(({ name, epochs }) => [
          name,
          { loss: epochs.map(({ loss }) => loss), macroF1: epochs.map(({ macroF1 }) => macroF1) },
        ]),
      );
      push(page, { kind: 'state', status, curves });
    }
  } catch (error) {
    for (const page of pages) push(page, { kind: 'problem', problem: messageOf(error) });
  }
}

function push({ response }: Page, message: DashboardMessage) {
  response.write(`data: ${JSON.stringify(message)}\n\n`);
}

async function sendLog(response: ServerResponse, { run, member }: { run: string; member: string | null }) {
  try {
    const { members } = await readPlan(run);
    // The name becomes part of a path: only names of the plan do.
    if (!members.some(({ name }) => name === member))
      return answer(response, { code: 404, text: 'There is no such member.' });
    const lines = await readLogTail(run, { member: member!, lines: LOG_LINES });
    answer(response, { code: 200, text: lines.join('\n') });
  } catch (error) {
    answer(response, { code: 500, text: messageOf(error) });
  }
}
