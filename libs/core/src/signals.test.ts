// The first and the second signal, in processes that are idle, busy, or waiting for a reader that hangs.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sameKeypress, stopNotice } from './signals.ts';

const module = new URL('../dist/signals.js', import.meta.url).href;

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Starts a process that stops on signals and runs this after the first one; waits until it is ready. */
async function start(afterFirst: string, env: NodeJS.ProcessEnv = {}) {
  const code = `
    import { open } from 'node:fs';
    const { stopOnSignal } = await import(${JSON.stringify(module)});
    const stopping = stopOnSignal();
    const alive = setInterval(() => {}, 1000);
    const end = () => { stopping.release(); clearInterval(alive); process.exitCode = 130; console.log('ended by itself'); };
    stopping.signal.addEventListener('abort', () => { console.log('aborted'); setImmediate(() => { ${afterFirst} }); });
    console.log('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    env: { ...process.env, _: '/usr/bin/node', ...env },
  });
  children.push(child);
  const started = {
    child,
    output: '',
    ended: once(child, 'close') as Promise<[number | null, string | null]>,
  };
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece) => (started.output += String(piece)));
  await until(() => started.output.includes('ready'));
  return started;
}

async function until(condition: () => boolean) {
  while (!condition()) await sleep(10);
}

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  'the first %s asks to stop, and says so',
  async (signal) => {
    const started = await start('end()');
    started.child.kill(signal);
    expect(await started.ended).toEqual([130, null]);
    expect(started.output).toContain(stopNotice);
    expect(started.output).toContain('ended by itself');
  },
);

test('what npx and nx send for the same Ctrl-C does not count as a second signal', async () => {
  const { child, ended } = await start('setTimeout(end, 300)');
  for (const signal of ['SIGINT', 'SIGINT', 'SIGTERM'] as const) child.kill(signal);
  expect(await ended).toEqual([130, null]);
});

test.each([
  ['the event loop is idle', '', 'SIGINT'],
  ['the event loop is busy', 'for (;;);', 'SIGKILL'],
])('a second signal ends the process while %s', async (_, afterFirst, by) => {
  const started = await start(afterFirst);
  const { child, ended } = started;
  child.kill('SIGTERM');
  await until(() => started.output.includes('aborted'));
  await sleep(sameKeypress + 100);
  child.kill('SIGTERM');
  expect(await ended).toEqual([null, by]);
});

test('a second signal ends the process while a reader hangs, for which process.exit would wait', async () => {
  const pipe = join(await mkdtemp(join(tmpdir(), 'ct-ensemble-signals-')), 'pipe');
  execFileSync('mkfifo', [pipe]);
  const started = await start(`open(${JSON.stringify(pipe)}, 'r', () => {})`);
  const { child, ended } = started;
  child.kill('SIGINT');
  await until(() => started.output.includes('aborted'));
  await sleep(sameKeypress + 100);
  child.kill('SIGINT');
  expect(await ended).toEqual([null, 'SIGINT']);
});

test('under nohup SIGHUP is ignored, SIGTERM is not', async () => {
  const started = await start('end()', { _: '/usr/bin/nohup' });
  started.child.kill('SIGHUP');
  await sleep(300);
  expect(started.output).not.toContain('aborted');
  started.child.kill('SIGTERM');
  expect(await started.ended).toEqual([130, null]);
});
