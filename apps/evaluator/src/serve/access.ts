// Who may ask: a bearer token if the server has one, and no web page that a browser on this machine has open.
import { createHash, timingSafeEqual } from 'node:crypto';
import { type IncomingMessage } from 'node:http';
import { RequestProblem } from './problems.ts';

export interface Access {
  token: string | undefined;
  /** Whether the server listens on the loopback address only. */
  isLoopback: boolean;
}

const loopbackNames = new Set(['127.0.0.1', 'localhost', '[::1]']);

export const isLoopbackHost = (host: string) =>
  host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);

/** @throws {RequestProblem} 401 without the token; 403 for a request that a web page made a browser send. */
export function requireAccess({ headers }: IncomingMessage, { token, isLoopback }: Access) {
  if (token !== undefined) {
    const [, given] = /^Bearer +(.+)$/i.exec(headers.authorization ?? '') ?? [];
    const digest = (text: string) => createHash('sha256').update(text).digest();
    if (given === undefined || !timingSafeEqual(digest(given), digest(token)))
      throw new RequestProblem({ status: 401, kind: 'token' }, 'the token is missing or is another one', {
        field: 'Authorization',
        remedy: 'send the header Authorization: Bearer TOKEN',
      });
    return;
  }
  const host = (headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
  // A web page elsewhere, whose name was made to lead to this machine, or that sends a form here.
  const isForeignName = isLoopback && !loopbackNames.has(host) && !isLoopbackHost(host);
  const site = headers['sec-fetch-site'];
  const isForeignPage = site !== undefined && site !== 'none' && site !== 'same-origin';
  if (isForeignName || isForeignPage || (headers.origin !== undefined && site !== 'same-origin'))
    throw new RequestProblem(
      { status: 403, kind: 'other-site' },
      'this service answers no requests that web pages of other sites send',
      { field: isForeignName ? 'Host' : 'Origin', remedy: 'start it with --token-file, and send the token' },
    );
}
