// For tests: a headless Chromium, driven by its DevTools protocol over two pipes. It needs no package, only the browser.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

/** The Chromium of CT_ENSEMBLE_CHROMIUM, or the first one on the PATH; undefined without one. */
export function findChromium(): string | undefined {
  const candidates = process.env['CT_ENSEMBLE_CHROMIUM']
    ? [process.env['CT_ENSEMBLE_CHROMIUM']]
    : ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  return candidates.find((program) => {
    try {
      execFileSync(program, ['--version'], { stdio: 'pipe' });
      return true;
    } catch {
      return false;
    }
  });
}

export interface PageOptions {
  width: number;
  height: number;
  scheme: 'light' | 'dark';
}

/** One page of the browser. */
export interface BrowserPage {
  open(address: string): Promise<void>;
  /** The value of a JavaScript expression, which may be a promise, in the page. */
  value<T>(expression: string): Promise<T>;
  /** Waits until an expression is true. */
  until(expression: string): Promise<void>;
  resize(options: PageOptions): Promise<void>;
  /** Presses and releases a key such as `Tab` or `Enter`. */
  press(key: string): Promise<void>;
  /** Errors and warnings of the page's console, and addresses that the page has asked for. */
  readonly problems: string[];
  readonly requests: string[];
}

export interface Browser extends AsyncDisposable {
  page(options: PageOptions): Promise<BrowserPage>;
  closePages(): Promise<void>;
}

type Params = Record<string, unknown>;
interface Message {
  id?: number;
  sessionId?: string;
  method?: string;
  params?: Params;
  result?: Params;
  error?: { message: string };
}

/** Starts the browser with a profile of its own, which is deleted afterwards. */
export async function startChromium(program: string): Promise<Browser> {
  const profile = await mkdtemp(join(tmpdir(), 'ct-ensemble-chromium-'));
  const child = spawn(
    program,
    [
      '--headless=new',
      '--no-sandbox', // for root, as in containers; the tests open only their own page
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--remote-debugging-pipe',
      `--user-data-dir=${profile}`,
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
  );
  const connection = connect(child);
  const targets: string[] = [];
  return {
    async page(options) {
      const { targetId } = await connection.call('Target.createTarget', { url: 'about:blank' });
      const { sessionId } = await connection.call('Target.attachToTarget', { targetId, flatten: true });
      targets.push(targetId as string);
      return openPage(connection, { session: sessionId as string, options });
    },
    async closePages() {
      for (const targetId of targets.splice(0)) await connection.call('Target.closeTarget', { targetId });
    },
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      await connection.call('Browser.close').catch(() => child.kill('SIGKILL'));
      await ended;
      await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}

type Connection = ReturnType<typeof connect>;

/** Messages are JSON, each followed by a zero byte: to the browser on descriptor 3, from it on descriptor 4. */
function connect(child: ChildProcess) {
  const [, , , input, output] = child.stdio as unknown as [null, null, null, Writable, Readable];
  const waiting = new Map<number, { resolve: (result: Params) => void; reject: (error: Error) => void }>();
  const listeners = new Set<(message: Message) => void>();
  let [rest, calls] = ['', 0];
  output.setEncoding('utf8');
  output.on('data', (piece: string) => {
    const parts = (rest + piece).split('\0');
    rest = parts.pop()!;
    for (const message of parts.map((part) => JSON.parse(part) as Message)) {
      const call = message.id === undefined ? undefined : waiting.get(message.id);
      if (call === undefined) for (const listen of listeners) listen(message);
      else if (message.error) call.reject(new Error(message.error.message));
      else call.resolve(message.result ?? {});
      if (message.id !== undefined) waiting.delete(message.id);
    }
  });
  child.on('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error('the browser has ended'));
  });
  input.on('error', () => {});
  return {
    listeners,
    call(method: string, params: Params = {}, sessionId?: string): Promise<Params> {
      const id = ++calls;
      input.write(`${JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) })}\0`);
      return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    },
  };
}

async function openPage(
  connection: Connection,
  { session, options }: { session: string; options: PageOptions },
): Promise<BrowserPage> {
  const call = (method: string, params: Params = {}) => connection.call(method, params, session);
  const problems: string[] = [];
  const requests: string[] = [];
  connection.listeners.add(({ sessionId, method, params }) => {
    if (sessionId !== session) return;
    if (method === 'Network.requestWillBeSent')
      requests.push((params as { request: { url: string } }).request.url);
    if (method === 'Runtime.exceptionThrown') problems.push(JSON.stringify(params));
    if (method === 'Log.entryAdded') problems.push((params as { entry: { text: string } }).entry.text);
  });
  for (const domain of ['Page', 'Runtime', 'Network', 'Log']) await call(`${domain}.enable`);
  const page: BrowserPage = {
    problems,
    requests,
    async open(address) {
      await call('Page.navigate', { url: address });
    },
    async value<T>(expression: string) {
      const { result, exceptionDetails } = (await call('Runtime.evaluate', {
        expression,
        returnByValue: true,
        awaitPromise: true,
      })) as { result: { value: T }; exceptionDetails?: unknown };
      if (exceptionDetails) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
      return result.value;
    },
    async until(expression) {
      for (;;) {
        if (await page.value<boolean>(`Boolean(${expression})`).catch(() => false)) return;
        await sleep(50); // The test's own limit ends this if the expression never becomes true.
      }
    },
    async resize({ width, height, scheme }) {
      const mobile = width < 600;
      await call('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile });
      await call('Emulation.setEmulatedMedia', {
        features: [{ name: 'prefers-color-scheme', value: scheme }],
      });
    },
    async press(key) {
      const code = { Tab: 9, Enter: 13, Escape: 27 }[key] ?? 0;
      const about = { key, code: key, windowsVirtualKeyCode: code, ...(key === 'Enter' && { text: '\r' }) };
      await call('Input.dispatchKeyEvent', { type: 'keyDown', ...about });
      await call('Input.dispatchKeyEvent', { type: 'keyUp', ...about });
    },
  };
  await page.resize(options);
  return page;
}
