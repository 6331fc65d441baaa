// The prediction server: answers scans over HTTP with one ensemble, within bounds of bytes, time and number, and logs a line of JSON
// for each request, without anything that comes from a scan.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { asUserError, codeOf, messageOf, printError, UserError } from '@ct-ensemble/core';
import { type Ensemble, modelCard } from '@ct-ensemble/ensemble';
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { jsonFormat } from '../predict/formats.ts';
import { type Access, isLoopbackHost, requireAccess } from './access.ts';
import { ClientGone } from './body.ts';
import { createMetrics } from './metrics.ts';
import { busy, RequestProblem } from './problems.ts';
import { answerScan, type RequestRecord, requireBody } from './scan-request.ts';
import { Turns } from './turns.ts';
import { openWorkFolder } from './work-folder.ts';

const MB = 2 ** 20;

export interface ServerOptions {
  /** Default: 127.0.0.1. */
  host?: string;
  /** Default: 0, any free port. */
  port?: number;
  /** Bytes that a body may have. Default: 1 GiB. */
  maxBytes?: number;
  /** Bytes that a scan may have when it is unpacked, and as slices in memory. Default: 1 GiB. */
  maxUnpackedBytes?: number;
  /** Bytes of all requests in the temporary folder. Default: four times as many as one request may have. */
  diskQuota?: number;
  /** Scans that may be uploaded or wait while another is computed. Default: 8. */
  maxQueued?: number;
  /** Seconds for an upload. Default: 300. */
  uploadTimeout?: number;
  /** Seconds without a byte of an upload. Default: 30. */
  idleTimeout?: number;
  /** Seconds for a whole request. Default: 900. */
  timeout?: number;
  /** If given, requests need it as bearer token, except for `/healthz` and `/readyz`. */
  token?: string;
  /** Folder in which the temporary folder is made. Default: the system's. */
  temp?: string;
  /** Takes a line of the log. Default: writes it to standard error. */
  log?: (line: string) => void;
}

export interface PredictionServer {
  /** Such as `http://127.0.0.1:8080`. */
  readonly address: string;
  /** The temporary folder. */
  readonly folder: string;
  /** Fulfilled when the ensemble has failed for good: a new process is needed. */
  readonly broken: Promise<Error>;
  /** Takes no more requests, waits so many seconds for those in progress, then ends their connections. */
  close(seconds?: number): Promise<void>;
}

/** Answer to a request whose client has gone, in the log and the metrics only. */
const CLIENT_GONE = 499;

/** Seconds and bytes for which the rest of a refused body is read, so that the client sees the answer. */
const [LINGER_TIME, LINGER_BYTES] = [2, 16 * MB];

/** Connections at the same time. Those beyond wait to be closed. */
const MOST_CONNECTIONS = 512;

const routes = ['/', '/predict', '/healthz', '/readyz', '/metrics'];

const headers = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/** What a request is until it is answered. */
interface Exchange {
  started: number;
  problem?: string;
  record: RequestRecord;
}

/**
 * Starts the server. The ensemble stays the caller's, who closes it after the server.
 * @throws {UserError} if the address or the temporary folder cannot be had.
 */
export async function openServer(ensemble: Ensemble, options: ServerOptions = {}): Promise<PredictionServer> {
  const { host = '127.0.0.1', port = 0, maxBytes = 1024 * MB, maxUnpackedBytes = 1024 * MB } = options;
  const { diskQuota = 4 * (maxBytes + maxUnpackedBytes), maxQueued = 8, token, temp } = options;
  const { uploadTimeout = 300, idleTimeout = 30, timeout = 900 } = options;
  const log = options.log ?? printError;
  const access: Access = { token, isLoopback: isLoopbackHost(host) };
  const folder = await openWorkFolder({ parent: temp, quota: diskQuota });
  const turns = new Turns();
  const ended = new AbortController();
  const exchanges = new WeakMap<IncomingMessage, Exchange>();
  /** The request that each connection is busy with. */
  const current = new WeakMap<Socket, { request: IncomingMessage; response: ServerResponse }>();
  const waitsForContinue = new WeakSet<IncomingMessage>();
  const unfinished = new Set<Promise<unknown>>();
  let admitted = 0;
  let isEnding = false;
  let failure: Error | undefined;
  let reportBroken: (error: Error) => void;
  const broken = new Promise<Error>((resolve) => (reportBroken = resolve));
  const isReady = () => !isEnding && failure === undefined;
  const metrics = createMetrics({
    waiting: () => turns.waiting,
    admitted: () => admitted,
    diskBytes: () => folder.bytes,
    isReady,
  });
  const format = jsonFormat(ensemble.classes, ensemble.members);

  const app = fastify({
    logger: false,
    genReqId: () => randomUUID(),
    requestTimeout: 1000 * (uploadTimeout + 10),
    keepAliveTimeout: 5000,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // Requests of open connections are refused below, with the same fields as all others.
    routerOptions: { ignoreTrailingSlash: false },
    http: {
      headersTimeout: 10_000,
      connectionsCheckingInterval: 1000,
      maxHeaderSize: 2 ** 14,
      requireHostHeader: false,
    },
    clientErrorHandler(error, socket) {
      const { status, kind, message } = clientError(error);
      const busyWith = current.get(socket);
      const exchange = busyWith && exchanges.get(busyWith.request);
      if (exchange !== undefined) exchange.problem ??= kind;
      else logLine({ time: new Date().toISOString(), status, problem: kind });
      if (exchange === undefined) metrics.answered({ route: 'none', status, seconds: 0 });
      if (!socket.writable || busyWith?.response.headersSent === true) return void socket.destroy();
      const text = JSON.stringify({ error: { message, kind } });
      socket.end(
        `HTTP/1.1 ${status} ${status === 408 ? 'Request Timeout' : 'Bad Request'}\r\nContent-Type: application/json\r\n` +
          `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
        () => socket.destroy(),
      );
    },
  });
  app.server.maxConnections = MOST_CONNECTIONS;
  // A client asks whether it may send a large body: it may when the headers have been looked at.
  app.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    waitsForContinue.add(request);
    app.server.emit('request', request, response);
  });

  app.server.on('checkExpectation', (_, response: ServerResponse) => {
    const [kind, message] = ['expectation', 'the only expectation that is met is 100-continue'];
    metrics.answered({ route: 'none', status: 417, seconds: 0 });
    logLine({ time: new Date().toISOString(), status: 417, problem: kind });
    response.writeHead(417, { 'Content-Type': 'application/json', Connection: 'close' });
    response.end(JSON.stringify({ error: { message, kind, field: 'Expect' } }));
  });

  const logLine = (fields: object) => log(JSON.stringify(fields));

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null)); // A scan is saved by its route.

  app.addHook('onRequest', async (request, reply) => {
    exchanges.set(request.raw, { started: performance.now(), record: {} });
    current.set(request.raw.socket, { request: request.raw, response: reply.raw });
    reply.raw.once('close', () => finished(request, reply));
    reply.headers({ ...headers, 'X-Request-Id': request.id });
    if (isEnding) reply.header('Connection', 'close');
    if (request.raw.headers.host === undefined && request.raw.httpVersion === '1.1')
      throw new RequestProblem({ status: 400, kind: 'no-host' }, 'the request names no host', {
        field: 'Host',
      });
    if (request.url !== '/healthz' && request.url !== '/readyz') requireAccess(request.raw, access);
  });

  /** Logs and counts a request whose answer is sent or whose connection has ended. */
  function finished(request: FastifyRequest, reply: FastifyReply) {
    const exchange = exchanges.get(request.raw);
    if (exchange === undefined) return;
    exchanges.delete(request.raw);
    current.delete(request.raw.socket);
    const seconds = (performance.now() - exchange.started) / 1000;
    const status = reply.raw.writableFinished ? reply.statusCode : CLIENT_GONE;
    const path = request.url.split('?', 1)[0]!;
    const route = routes.includes(path) ? path : 'other';
    metrics.answered({ route, status, seconds });
    if (route === '/healthz' || route === '/readyz' || route === '/metrics') return;
    const { record, problem } = exchange;
    const round = (ms: number | undefined) => (ms === undefined ? undefined : Math.round(ms));
    logLine({
      time: new Date().toISOString(),
      id: request.id,
      method: request.method,
      route,
      status,
      ms: round(1000 * seconds),
      problem,
      bytes: record.bytes,
      body: record.body,
      waitedMs: round(record.waited),
      predictedMs: round(record.predicted),
    });
  }

  /** Answers with a problem. The rest of a body is read for a while: a connection that is reset would take the answer along. */
  function refuse(request: FastifyRequest, reply: FastifyReply, problem: RequestProblem) {
    const { status, options: about } = problem;
    const exchange = exchanges.get(request.raw);
    if (exchange !== undefined) exchange.problem ??= problem.kind;
    reply.code(status).type('application/json; charset=utf-8');
    if (about.retryAfter !== undefined) reply.header('Retry-After', String(about.retryAfter));
    if (status === 401) reply.header('WWW-Authenticate', 'Bearer');
    const text = JSON.stringify(problem.body(request.id));
    if (request.raw.complete) return reply.send(text);
    reply.header('Connection', 'close').header('Content-Length', Buffer.byteLength(text));
    const isWithheld = waitsForContinue.has(request.raw);
    return reply.send(isWithheld ? text : Readable.from(withRest(request.raw, text), { objectMode: false }));
  }

  app.setErrorHandler((error: unknown, request, reply) => {
    if (error instanceof RequestProblem) return refuse(request, reply, error);
    if (error instanceof ClientGone) return reply.send(''); // Nobody reads it.
    const status = (error as { statusCode?: number }).statusCode;
    if (status !== undefined && status >= 400 && status < 500)
      return refuse(request, reply, new RequestProblem({ status, kind: 'bad-request' }, messageOf(error)));
    const isFull = ['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE'].includes(codeOf(causeOf(error)) ?? '');
    if (isFull) return refuse(request, reply, busy('no-space', 'the server has no space for the upload', 60));
    const text = messageOf(error).replaceAll(folder.path, '');
    logLine({ time: new Date().toISOString(), id: request.id, error: text });
    const inside = 'the server failed; its log names this request';
    return refuse(request, reply, new RequestProblem({ status: 500, kind: 'server-failed' }, inside));
  });

  app.setNotFoundHandler((request, reply) => {
    const [path] = request.url.split('?', 1);
    const isKnown = routes.includes(path!);
    if (isKnown) reply.header('Allow', path === '/predict' ? 'POST' : 'GET, HEAD');
    const problem = isKnown
      ? new RequestProblem({ status: 405, kind: 'method' }, 'this address has another method', {
          remedy: path === '/predict' ? 'use POST' : 'use GET',
        })
      : new RequestProblem({ status: 404, kind: 'no-such-address' }, 'there is no such address', {
          remedy: `use one of ${routes.join(', ')}`,
        });
    return refuse(request, reply, problem);
  });

  app.get('/healthz', () => ({ status: 'alive' }));
  app.get('/readyz', (_, reply) => {
    if (isReady()) return { status: 'ready' };
    return reply.code(503).send({ status: isEnding ? 'ending' : 'failed' });
  });
  app.get('/metrics', async (_, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  const { manifest, id, classes, alphas, engine } = ensemble;
  const model = {
    name: manifest.name,
    id,
    classes,
    members: manifest.members.map(({ name, architecture }) => ({ name, architecture })),
    alphas,
    engine,
    packedWith: manifest.packedWith,
    limits: { bodyBytes: maxBytes, unpackedBytes: maxUnpackedBytes, queue: maxQueued, seconds: timeout },
    card: modelCard(manifest),
  };
  app.get('/', () => model);

  app.post('/predict', async (request, reply) => {
    const exchange = exchanges.get(request.raw)!;
    if (!isReady()) throw busy('not-ready', isEnding ? 'the server is ending' : 'the server has failed', 30);
    requireBody(request.raw, maxBytes);
    const alpha = alphaOf(request.query as Record<string, unknown>, alphas);
    if (admitted > maxQueued) throw busy('queue-full', `${admitted} scans are in progress already`, 10);
    admitted++;
    const own = new AbortController();
    const late = () => own.abort(busy('too-late', `the scan was not answered within ${timeout} s`, 60));
    const timer = setTimeout(late, 1000 * timeout);
    const onClosed = () => own.abort(new ClientGone('the client has gone'));
    const onEnded = () => own.abort(busy('server-ends', 'the server is ending', 30));
    reply.raw.once('close', onClosed);
    ended.signal.addEventListener('abort', onEnded);
    const work = async () => {
      const requestFolder = await folder.open(request.id);
      try {
        return await answerScan(
          request.raw,
          { ensemble, turns },
          {
            id: request.id,
            folder: requestFolder,
            limits: {
              body: maxBytes,
              unpacked: maxUnpackedBytes,
              upload: uploadTimeout,
              idle: idleTimeout,
              request: timeout,
            },
            alpha,
            record: exchange.record,
            signal: own.signal,
            onWanted() {
              if (waitsForContinue.delete(request.raw)) reply.raw.writeContinue();
            },
          },
        );
      } catch (error) {
        // Whatever is not the request's fault, once the device has been asked, has ended the ensemble's thread.
        if (exchange.record.predicted !== undefined && isFault(error, own.signal)) {
          failure ??= error as Error;
          reportBroken(failure);
        }
        throw error;
      } finally {
        await requestFolder.remove();
        admitted--;
      }
    };
    // The device cannot be interrupted: the work goes on after an answer that is late, and keeps its place until it has ended.
    const working = work();
    unfinished.add(working);
    void working.catch(() => {}).finally(() => unfinished.delete(working));
    try {
      const answer = await Promise.race([working, rejectedBy(own.signal)]);
      if (exchange.record.predicted !== undefined) metrics.predicted(exchange.record.predicted / 1000);
      reply.type('application/json; charset=utf-8');
      return `{"requestId":${JSON.stringify(request.id)},${format.lineOf(answer).slice(1)}`;
    } finally {
      clearTimeout(timer);
      reply.raw.off('close', onClosed);
      ended.signal.removeEventListener('abort', onEnded);
    }
  });

  let address: string;
  try {
    address = await app.listen({ host, port });
  } catch (error) {
    await folder.close();
    throw listenError(error, { host, port });
  }
  return {
    address,
    folder: folder.path,
    broken,
    async close(seconds = 30) {
      isEnding = true;
      const timer = setTimeout(() => {
        ended.abort();
        // Time for the last answers to be sent.
        setTimeout(() => app.server.closeAllConnections(), 500).unref();
      }, 1000 * seconds);
      await app.close();
      clearTimeout(timer);
      await Promise.allSettled(unfinished);
      await folder.close();
    },
  };
}

/** Rejects with the reason of the signal. */
function rejectedBy(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    else signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

const isFault = (error: unknown, signal: AbortSignal) =>
  !(error instanceof RequestProblem || error instanceof UserError || signal.aborted);

const causeOf = (error: unknown) => (error instanceof Error && error.cause) || error;

/** The text at once, then nothing until the rest of the request has arrived, a while has passed or it is too much. */
async function* withRest(request: IncomingMessage, text: string): AsyncGenerator<string> {
  yield text;
  await new Promise<void>((resolve) => {
    let bytes = 0;
    const timer = setTimeout(resolve, 1000 * LINGER_TIME);
    const end = () => {
      clearTimeout(timer);
      resolve();
    };
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > LINGER_BYTES) end();
    });
    for (const event of ['end', 'close', 'error']) request.on(event, end);
    request.resume();
    if (request.destroyed || request.complete) end();
  });
  request.pause();
}

function alphaOf(query: Record<string, unknown>, alphas: readonly number[]): number {
  const [unknown] = Object.keys(query).filter((name) => name !== 'alpha');
  const { alpha } = query;
  const value = alpha === undefined ? alphas[0]! : Number(alpha);
  if (unknown === undefined && alphas.includes(value)) return value;
  const field = unknown === undefined ? 'alpha' : unknown.slice(0, 40);
  throw new RequestProblem({ status: 400, kind: 'query' }, `the query parameter ${field} is not known`, {
    field,
    remedy: `leave it out, or use alpha with one of ${alphas.join(', ')}`,
  });
}

function clientError(error: { code?: string }): { status: number; kind: string; message: string } {
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return { status: 408, kind: 'request-too-slow', message: 'the request did not arrive in time' };
  if (error.code === 'HPE_HEADER_OVERFLOW')
    return { status: 431, kind: 'header-too-large', message: 'the headers are too large' };
  return { status: 400, kind: 'not-http', message: 'the request is not HTTP' };
}

function listenError(error: unknown, { host, port }: { host: string; port: number }): unknown {
  const problem = {
    EADDRINUSE: `the port ${port} of ${host} is in use`,
    EACCES: `this user may not listen on port ${port}`,
    EADDRNOTAVAIL: `this machine has no address ${host}`,
    ENOTFOUND: `there is no host ${host}`,
  }[codeOf(error) ?? ''];
  if (problem === undefined) return asUserError(error);
  return new UserError(problem, { remedy: 'name another with --port or --host', cause: error });
}
