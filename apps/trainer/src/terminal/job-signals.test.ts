// The signals of a cluster's job, in processes of their own.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

const module = new URL('../../dist/terminal/job-signals.js', import.meta.url).href;

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A process that holds the signals, and asks for them when it reads a line. */
async function start() {
  const code = `
    const { holdSignals, jobSignals } = await import(${JSON.stringify(module)});
    holdSignals();
    console.log('held');
    process.stdin.once('data', () => {
      const { signal, request } = jobSignals((request) => console.log('asked to ' + request));
      process.stdin.on('data', () => { console.log([signal.aborted, request()].join(' ')); process.exit(); });
      console.log('ready');
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code]);
  children.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece: Buffer) => (output += piece.toString()));
  const until = async (text: string) => {
    while (!output.includes(text)) await sleep(10);
  };
  await until('held');
  return {
    child,
    until,
    async end() {
      const closed = once(child, 'close');
      child.stdin.write('end\n');
      expect(await closed).toEqual([0, null]);
      return output;
    },
    async ask() {
      child.stdin.write('ask\n');
      await until('ready');
    },
  };
}

test('a signal that comes before the command asks for it is kept', async () => {
  const { child, ask, end } = await start();
  child.kill('SIGUSR2');
  await sleep(100);
  await ask();
  expect(await end()).toBe('held\nasked to requeue\nready\ntrue requeue\n');
});

test('without a signal nothing is asked for', async () => {
  const { ask, end } = await start();
  await ask();
  expect(await end()).toBe('held\nready\nfalse \n');
});

test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
  '%s ends the job for good, also after SIGUSR2, and a repetition changes nothing',
  async (signal) => {
    const { child, ask, until, end } = await start();
    await ask();
    child.kill('SIGUSR2');
    await until('requeue');
    child.kill(signal);
    await until('stop');
    for (const again of [signal, 'SIGUSR2'] as const) {
      child.kill(again);
      await sleep(50);
    }
    expect(await end()).toBe('held\nready\nasked to requeue\nasked to stop\ntrue stop\n');
  },
);
