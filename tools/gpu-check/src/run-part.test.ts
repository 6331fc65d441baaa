import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Part } from './plan.ts';
import { runPart } from './run-part.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ct-ensemble-gpu-check-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const part = (script: string, rest: Partial<Part> = {}): Part => ({
  name: 'part',
  claim: 'it works',
  command: [process.execPath, '-e', script],
  limitSeconds: 30,
  ...rest,
});
const run = (given: Part) => runPart(given, { root, work: join(root, 'work') });
const log = () => readFileSync(join(root, 'work', 'part.log'), 'utf8');

test('a pass: both outputs in the log, the result in the outcome', async () => {
  const script = `console.log('out', process.env.GIVEN, String(process.cwd() === ${JSON.stringify(root)})); console.error('err');
    require('fs').writeFileSync('result.json', '{"passed": 2823}')`;
  const outcome = await run(part(script, { env: { GIVEN: 'yes' }, result: 'result.json' }));
  expect(outcome).toMatchObject({ verdict: 'passed', log: 'work/part.log', result: { passed: 2823 } });
  expect(outcome).not.toHaveProperty('tail');
  expect(log().split('\n').sort()).toEqual(['', 'err', 'out yes true']);
});

test("a failure: the exit code and the log's end, without this machine's folders", async () => {
  const script = `for (let i = 0; i < 50; i++) console.log('line', i); console.log(process.cwd() + '/file'); process.exitCode = 3`;
  const outcome = await run(part(script));
  expect(outcome).toMatchObject({ verdict: 'failed', reason: 'exit code 3' });
  const lines = outcome.tail!.split('\n');
  expect([lines.length, lines[0], lines.at(-1)]).toEqual([30, 'line 21', 'file']);
});

test('the result of an earlier check is not used', async () => {
  writeFileSync(join(root, 'result.json'), '{"old": true}');
  const outcome = await run(part('', { result: 'result.json', fresh: 'result.json' }));
  expect(outcome).not.toHaveProperty('result');
});

test('a part that takes too long is killed with its children', async () => {
  const beat = join(root, 'beat');
  const child = `setInterval(() => require('fs').writeFileSync(${JSON.stringify(beat)}, ''), 20)`;
  const script = `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(child)}]); setTimeout(() => {}, 60000)`;
  const outcome = await run(part(script, { limitSeconds: 1.5 }));
  expect(outcome).toMatchObject({ verdict: 'failed', reason: 'did not end within 1.5 s' });
  expect(existsSync(beat)).toBe(true);
  rmSync(beat);
  await new Promise((done) => setTimeout(done, 200));
  expect(existsSync(beat)).toBe(false);
});

test('a missing program, a signal, a skipped part', async () => {
  expect(await run(part('', { command: ['no-such-program'] }))).toMatchObject({
    verdict: 'failed',
    reason: expect.stringMatching(/^no-such-program does not start: .*ENOENT/),
  });
  expect(await run(part('process.kill(process.pid, "SIGSEGV")'))).toMatchObject({
    reason: 'ended by SIGSEGV',
  });
  expect(await run(part('', { skipped: 'one GPU' }))).toMatchObject({
    verdict: 'skipped',
    reason: 'one GPU',
  });
});
