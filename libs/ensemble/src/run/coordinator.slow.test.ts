// Members that die behind the real ports, again and again or for lack of memory: every attempt starts a thread or a process.
import { processPort } from './ports/process.ts';
import { threadPort } from './ports/thread.ts';
import { train } from './coordinator.fixture.ts';
import { readPlan } from './plan.ts';
import { type Isolation, readFailed, readProgress } from '../run-status.ts';

describe.each<Isolation>(['thread', 'process'])('a member that dies in a %s', (isolation) => {
  const inProcess = isolation === 'process';

  test('by an exception is reported with its stack', async () => {
    const { outcomes } = await train(['fails'], { isolation, retry: { waits: [] } });
    expect(outcomes[0]).toMatchObject({ status: 'failed', reason: 'fails cannot go on' });
    expect(outcomes[0]!.stderrTail).toMatch(/fake-worker\.mjs:\d+/);
  });

  test('again and again is given up after three attempts more; progress gives it new ones', async () => {
    const { run, outcomes } = await train(['exits', 'b'], { isolation });
    expect(outcomes.map(({ status, attempts }) => [status, attempts])).toEqual([
      ['failed', 4],
      ['done', 1],
    ]);
    expect(await readFailed(run, 'exits')).toMatchObject({ kind: 'exit', exitCode: 7, attempt: 4 });
    expect(await readProgress(run, 'exits')).toMatchObject({ state: 'failed', attempt: 4 });
    const retry = { waits: [0.1] };
    const { events } = await train(['exits-progress'], {
      isolation,
      retry,
      onEvent: (event) => {
        if (event.kind === 'started' && event.attempt === 4) throw new Error('enough');
      },
    }).catch(() => ({ events: 'went on' }));
    expect(events).toBe('went on');
  });

  test("for lack of V8's memory goes on with smaller micro-batches, which the plan keeps", async () => {
    const port = inProcess ? processPort({ heapLimit: 64 }) : threadPort({ heapLimit: 64 });
    const { run, outcomes } = await train(['fillsheap-once', 'b'], { isolation, port });
    expect(outcomes.map(({ status, attempts }) => [status, attempts])).toEqual([
      ['done', 2],
      ['done', 1],
    ]);
    expect(outcomes[0]!.notes).toEqual([
      expect.stringMatching(/attempt 1 failed: .*(JS heap out of memory|SIGABRT for lack of memory)/),
      expect.stringMatching(/^goes on with micro-batches of 2 scans, 2 in each step of 4\./),
    ]);
    expect((await readPlan(run)).members.map(({ accumulate }) => accumulate)).toEqual([2, undefined]);
  });

  test("for lack of the device's memory tries ever smaller micro-batches", async () => {
    const { run, outcomes } = await train(['small', 'memory'], { isolation });
    expect(outcomes.map(({ status, attempts }) => [status, attempts])).toEqual([
      ['done', 3],
      ['failed', 3],
    ]);
    expect(await readFailed(run, 'memory')).toMatchObject({ kind: 'out-of-memory' });
    expect((await readPlan(run)).members.map(({ accumulate }) => accumulate)).toEqual([4, 4]);
    expect(await readProgress(run, 'small')).toMatchObject({ accumulate: 4 });
  });
});
