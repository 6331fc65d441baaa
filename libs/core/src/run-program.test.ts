import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { jest } from '@jest/globals';
import { UserError } from './errors.ts';
import { runProgram } from './run-program.ts';

const printed = jest.spyOn(console, 'error').mockImplementation(() => undefined);
afterEach(() => {
  process.exitCode = undefined;
  printed.mockClear();
});

/** What is printed to stderr, and the exit code. */
async function endOf(parseAsync: () => Promise<unknown>, options?: { failure: number }) {
  await runProgram({ parseAsync }, options);
  const result = { printed: printed.mock.calls.map(([what]) => what), code: process.exitCode };
  process.exitCode = undefined;
  return result;
}

class EngineError extends Error {
  override name = 'EngineError';
}

test('a command that succeeds prints nothing and leaves the exit code as the command set it', async () => {
  const stopped = async () => void (process.exitCode = 130);
  expect(await endOf(stopped)).toEqual({ printed: [], code: 130 });
});

test.each([
  [new UserError('bad', { file: 'a.yaml', remedy: 'mend it' }), 'error: a.yaml: bad → mend it'],
  [new EngineError('no TensorFlow'), 'error: no TensorFlow'],
  [
    Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS', path: 'runs/a' }),
    'error: runs/a: the file system is read-only → mount it for writing, or name another place',
  ],
])('%s is printed in one line, without a stack', async (error, line) => {
  expect(await endOf(() => Promise.reject(error))).toEqual({ printed: [line], code: 1 });
});

test('any other error is printed with its stack', async () => {
  const fault = new TypeError('x is undefined \x1b[2J');
  const { printed, code } = await endOf(() => Promise.reject(fault));
  expect({ lines: printed.length, code }).toEqual({ lines: 1, code: 1 });
  expect(printed[0]).toMatch(/^TypeError: x is undefined \\x1b\[2J\n +at /);
});

test('the exit code of a failure can be another one', async () => {
  expect(await endOf(() => Promise.reject(new UserError('bad')), { failure: 2 })).toMatchObject({ code: 2 });
});

test('a reader that goes away ends neither the command nor changes its exit code', async () => {
  const program = `
    import { runProgram } from ${JSON.stringify(new URL('../dist/run-program.js', import.meta.url).href)};
    await runProgram({ async parseAsync() {
      for (let i = 0; i < 200; i++) {
        process.stdout.write('line\\n');
        console.log('line');
        process.stderr.write('line\\n');
        await new Promise(setImmediate);
      }
      process.exitCode = 7;
    } });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program]);
  child.stdout.destroy();
  child.stderr.destroy();
  expect(await once(child, 'exit')).toEqual([7, null]);
});
