// For tests: a client that sends any bytes to a server, in pieces and as slowly as wanted, and reads what comes back.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface RawOptions {
  /** Milliseconds between two pieces. */
  pause?: number;
  /** Ends the sending side after the last piece, as a client that is cut off. */
  end?: boolean;
  /** Breaks the connection after the last piece without waiting for an answer. */
  reset?: boolean;
  /** Milliseconds after which the connection is given up. Default: 20 s. */
  patience?: number;
}

export interface RawAnswer {
  /** The status of the first answer; `closed` if the server closed without one, `silent` if it did neither. */
  outcome: number | 'closed' | 'silent';
  text: string;
}

/** Sends pieces over a connection of its own and waits for an answer with a whole body, or for the end of the connection. */
export async function sendRaw(
  port: number,
  pieces: readonly (string | Uint8Array)[],
  { pause = 0, end = false, reset = false, patience = 20_000 }: RawOptions = {},
): Promise<RawAnswer> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  const over = new Promise<'closed' | 'silent'>((resolve) => {
    const timer = setTimeout(() => resolve('silent'), patience);
    const close = () => {
      clearTimeout(timer);
      resolve('closed');
    };
    socket.on('close', close).on('error', close);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (isWhole(text)) close();
    });
  });
  let isOver = false;
  void over.then(() => (isOver = true));
  for (const piece of pieces) {
    if (isOver) break;
    socket.write(piece);
    if (pause > 0) await Promise.race([sleep(pause), over]);
  }
  if (end) socket.end();
  if (reset) {
    await sleep(50);
    socket.resetAndDestroy();
  }
  const last = await over;
  socket.destroy();
  const status = /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1];
  return { outcome: status === undefined ? last : Number(status), text };
}

function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1 || /^HTTP\/1\.1 100/.test(text)) return false;
  const length = /^content-length: (\d+)/im.exec(text.slice(0, end))?.[1];
  return length !== undefined && text.length >= end + 4 + Number(length);
}

/** The lines of a request. */
export const requestText = (head: string, headers: Record<string, string | number>, body = '') =>
  `${head} HTTP/1.1\r\nHost: localhost\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n${body}`;
