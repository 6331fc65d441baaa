// The scheduler with a virtual clock: what runs where and when, retries, lack of memory, stops.
import { UserError } from '@ct-ensemble/core';
import { virtualClock } from './clock.ts';
import {
  type Attempt,
  type DeviceSlot,
  type Failure,
  type Job,
  moreMicroBatches,
  RETRY,
  schedule,
  type ScheduleEvent,
  type ScheduleOptions,
} from './schedule.ts';

const gpus = (count: number): DeviceSlot[] =>
  Array.from({ length: count }, (_, i) => ({ device: `gpu:${i}`, members: 1 }));

const GIB = 2 ** 30;

type Scripted = Partial<ScheduleOptions> & {
  jobs: Job[];
  devices: DeviceSlot[];
  /** Seconds that an attempt really takes; default: the expected ones. Throws what the attempt fails with. */
  attempt?: (job: Job, about: Attempt) => number;
};

/** Runs the jobs; `log` has a line for each event with its time. */
async function scheduled({ attempt = ({ seconds }) => seconds ?? 1, ...options }: Scripted) {
  const clock = virtualClock();
  const log: string[] = [];
  const outcomes = await clock.drive(
    schedule({
      clock,
      async run(job, about) {
        await clock.sleep(attempt(job, about), options.signal);
        return options.signal?.aborted ? 'stopped' : 'done';
      },
      onEvent: (event) => log.push(`${clock.now()} ${line(event)}`),
      ...options,
    }),
  );
  return { outcomes, log, end: clock.now() };
}

function line(event: ScheduleEvent): string {
  const { name, kind } = event;
  switch (kind) {
    case 'started':
      return `${name} on ${event.lease.device}/${event.lease.share}, attempt ${event.attempt}, accumulate ${event.accumulate}`;
    case 'waiting-to-retry':
      return `${name} waits ${event.wait}, then accumulate ${event.accumulate}`;
    default:
      return `${name} ${kind}`;
  }
}

/** Order and device of the starts: `b@gpu:0`. */
const starts = (log: readonly string[]) =>
  log.flatMap((text) => {
    const [, name, device] = /^\S+ (\S+) on (\S+)\//.exec(text) ?? [];
    return name === undefined ? [] : [`${name}@${device}`];
  });

class Failed extends Error implements Failure {
  readonly reason: string;
  readonly kind: Failure['kind'];
  readonly progressed: boolean;
  constructor(kind: Failure['kind'], progressed = false) {
    super(kind);
    this.reason = kind;
    this.kind = kind;
    this.progressed = progressed;
  }
}
const failing =
  (kind: Failure['kind'], progressed = false) =>
  (): number => {
    throw new Failed(kind, progressed);
  };

describe('order', () => {
  test('longest first', async () => {
    const jobs = [2, 3, 7, 5].map((seconds) => ({ name: `j${seconds}`, seconds }));
    const { log, end, outcomes } = await scheduled({ jobs, devices: gpus(1) });
    expect(starts(log)).toEqual(['j7@gpu:0', 'j5@gpu:0', 'j3@gpu:0', 'j2@gpu:0']);
    expect(end).toBe(17);
    expect(outcomes.map(({ name, status, attempts }) => [name, status, attempts])).toEqual(
      jobs.map(({ name }) => [name, 'done', 1]),
    );
  });

  test('of unknown durations the order of the plan, and jobs that prefer the device before others', async () => {
    const jobs = ['a', 'b', 'c', 'd'].map((name, i) => ({ name, device: `gpu:${1 - (i % 2)}` }));
    const { log } = await scheduled({ jobs, devices: gpus(2) });
    expect(starts(log)).toEqual(['b@gpu:0', 'a@gpu:1', 'd@gpu:0', 'c@gpu:1']);
    const plain = await scheduled({ jobs: jobs.map(({ name }) => ({ name })), devices: gpus(1) });
    expect(starts(plain.log)).toEqual(['a@gpu:0', 'b@gpu:0', 'c@gpu:0', 'd@gpu:0']);
  });

  test('a job of unknown duration counts as the longest', async () => {
    const jobs = [{ name: 'short', seconds: 1 }, { name: 'unknown' }, { name: 'long', seconds: 9 }];
    const { log } = await scheduled({ jobs, devices: gpus(1) });
    expect(starts(log)).toEqual(['unknown@gpu:0', 'long@gpu:0', 'short@gpu:0']);
  });

  test('exchanges improve on longest first: 3, 3, 2, 2, 2 on two devices end after 6, not 7', async () => {
    const jobs = [3, 3, 2, 2, 2].map((seconds, i) => ({ name: `j${i}`, seconds }));
    expect((await scheduled({ jobs, devices: gpus(2) })).end).toBe(6);
  });

  test('what running members report of their progress changes the assignment of the others', async () => {
    // Both long jobs were expected to end at 10; one of them says that it needs until 30.
    const jobs = [
      { name: 'slow', seconds: 10, device: 'gpu:0' },
      { name: 'quick', seconds: 10, device: 'gpu:1' },
      { name: 'x', seconds: 6 },
      { name: 'y', seconds: 5 },
      { name: 'z', seconds: 5 },
    ];
    const { end, log } = await scheduled({
      jobs,
      devices: gpus(2),
      attempt: ({ name, seconds }) => (name === 'slow' ? 30 : seconds!),
      secondsLeft: (name) => (name === 'slow' ? 20 : undefined),
    });
    expect(end).toBe(30);
    expect(starts(log).slice(2)).toEqual(['x@gpu:1', 'y@gpu:1', 'z@gpu:1']);
  });
});

describe('leases', () => {
  test('several members of one device run at once, each with a share of its own', async () => {
    const jobs = ['a', 'b', 'c'].map((name) => ({ name, seconds: 4 }));
    const { log, end } = await scheduled({ jobs, devices: [{ device: 'gpu:0', members: 2 }] });
    expect(log.filter((text) => text.includes(' on '))).toEqual([
      '0 a on gpu:0/0, attempt 1, accumulate 1',
      '0 b on gpu:0/1, attempt 1, accumulate 1',
      '4 c on gpu:0/0, attempt 1, accumulate 1',
    ]);
    expect(end).toBe(8);
  });

  test.each([
    { what: 'of one device', devices: [{ device: 'gpu:0', members: 3, memoryBytes: 10 * GIB }] },
    {
      what: 'of a pool of devices',
      devices: [0, 1, 2].map(() => ({ device: 'cpu:1', members: 1, memoryBytes: 10 * GIB, pool: 'cpu' })),
    },
  ])('only members that fit into the memory $what run together', async ({ devices }) => {
    const jobs = [
      { name: 'large', seconds: 9, memoryBytes: 7 * GIB },
      { name: 'middle', seconds: 8, memoryBytes: 5 * GIB },
      { name: 'small', seconds: 7, memoryBytes: 3 * GIB },
    ];
    const { log, end } = await scheduled({ jobs, devices });
    expect(log.filter((text) => text.startsWith('0 '))).toEqual([
      expect.stringContaining('large on'),
      expect.stringContaining('small on'),
    ]);
    expect(log).toContainEqual(expect.stringMatching(/^9 middle on/)); // At 7 there are 3 GiB, too few.
    expect(end).toBe(17);
  });

  test('a member that would not fit alone fails with the sizes and the remedy; the others run', async () => {
    const jobs = [
      { name: 'huge', memoryBytes: 20 * GIB },
      { name: 'small', memoryBytes: GIB },
    ];
    const devices = [{ device: 'gpu:0', members: 1, memoryBytes: 16 * GIB }];
    const { outcomes } = await scheduled({ jobs, devices });
    expect(outcomes).toMatchObject([
      {
        status: 'failed',
        attempts: 0,
        failure: {
          kind: 'user',
          reason: expect.stringMatching(/20\.0 GiB.*more than 16\.0 GiB.*accumulate/),
        },
      },
      { status: 'done' },
    ]);
  });
});

describe('failures', () => {
  test('are retried after 1, 4 and 16 seconds; others use the device meanwhile', async () => {
    const jobs = [{ name: 'bad' }, { name: 'good' }];
    const { log, outcomes } = await scheduled({
      jobs,
      devices: gpus(1),
      attempt: ({ name }) => (name === 'good' ? 2 : failing('exception')()),
    });
    expect(log).toEqual([
      '0 bad on gpu:0/0, attempt 1, accumulate 1',
      '0 bad waits 1, then accumulate 1',
      '0 good on gpu:0/0, attempt 1, accumulate 1',
      '2 good done',
      '2 bad on gpu:0/0, attempt 2, accumulate 1',
      '2 bad waits 4, then accumulate 1',
      '6 bad on gpu:0/0, attempt 3, accumulate 1',
      '6 bad waits 16, then accumulate 1',
      '22 bad on gpu:0/0, attempt 4, accumulate 1',
      '22 bad failed',
    ]);
    expect(outcomes[0]).toMatchObject({ status: 'failed', attempts: 4, failure: { kind: 'exception' } });
    expect(RETRY.waits).toEqual([1, 4, 16]);
  });

  test.each(['exception', 'signal', 'exit'] as const)(
    'of kind %s: progress resets the count',
    async (kind) => {
      // Attempts 2, 4 and 6 make progress, so no three attempts in a row are without.
      const { outcomes, log } = await scheduled({
        jobs: [{ name: 'a' }],
        devices: gpus(1),
        attempt: (_, { attempt }) => (attempt === 8 ? 1 : failing(kind, attempt % 2 === 0)()),
      });
      expect(outcomes).toMatchObject([{ status: 'done', attempts: 8 }]);
      expect(
        log.filter((text) => text.includes('waits')).map((text) => / waits (\d+)/.exec(text)![1]),
      ).toEqual(['1', '1', '4', '1', '4', '1', '4']);
    },
  );

  test.each([
    ['a failure of kind user', failing('user'), 'user'],
    [
      'a UserError',
      () => {
        throw new UserError('bad scan');
      },
      'bad scan',
    ],
  ])('%s is final', async (_, attempt, reason) => {
    const { outcomes, end } = await scheduled({ jobs: [{ name: 'a' }], devices: gpus(1), attempt });
    expect(outcomes).toMatchObject([{ status: 'failed', attempts: 1, failure: { kind: 'user', reason } }]);
    expect(end).toBe(0);
  });

  test('an error of no known kind counts as an exception', async () => {
    const { outcomes } = await scheduled({
      jobs: [{ name: 'a' }],
      devices: gpus(1),
      retry: { waits: [] },
      attempt() {
        throw new TypeError('odd');
      },
    });
    expect(outcomes[0]!.failure).toEqual({ reason: 'odd', kind: 'exception', progressed: false });
  });

  test('out of memory halves the micro-batch as often as needed, in addition to the retries', async () => {
    const { log, outcomes } = await scheduled({
      jobs: [{ name: 'a', batchSize: 16, accumulate: 2 }],
      devices: gpus(1),
      attempt: (_, { accumulate }) => (accumulate === 16 ? 5 : failing('out-of-memory')()),
    });
    expect(
      log.filter((text) => text.includes(' on ')).map((text) => /accumulate (\d+)/.exec(text)![1]),
    ).toEqual(['2', '4', '8', '16']);
    expect(outcomes).toMatchObject([{ status: 'done', accumulate: 16, attempts: 4 }]);
  });

  test('out of memory with micro-batches of one scan is final', async () => {
    const { outcomes } = await scheduled({
      jobs: [{ name: 'a', batchSize: 4 }, { name: 'b' }],
      devices: gpus(1),
      attempt: ({ name }) => (name === 'a' ? failing('out-of-memory')() : 1),
    });
    expect(outcomes).toMatchObject([
      { status: 'failed', accumulate: 4, attempts: 3, failure: { kind: 'out-of-memory' } },
      { status: 'done' },
    ]);
  });

  test.each([
    [16, 1, 2],
    [6, 2, 6],
    [15, 1, 3],
    [7, 1, 7],
    [8, 8, undefined],
    [1, 1, undefined],
  ])('batch %i in %i micro-batches → %s', (batchSize, accumulate, more) => {
    expect(moreMicroBatches(batchSize, accumulate)).toBe(more);
  });
});

describe('stops', () => {
  test('running, waiting and retrying jobs end as stopped, at once', async () => {
    const stop = new AbortController();
    const { outcomes, end } = await scheduled({
      jobs: [{ name: 'retrying' }, { name: 'running', seconds: 50 }, { name: 'waiting', seconds: 1 }],
      devices: gpus(1),
      signal: stop.signal,
      attempt({ name, seconds }) {
        if (name === 'retrying') return failing('signal')();
        queueMicrotask(() => stop.abort());
        return seconds!;
      },
    });
    expect(outcomes.map(({ status }) => status)).toEqual(['stopped', 'stopped', 'stopped']);
    expect(outcomes.map(({ attempts }) => attempts)).toEqual([1, 1, 0]);
    expect(end).toBe(0);
  });

  test('an error of onEvent is thrown after the running jobs have ended', async () => {
    let ended = 0;
    const clock = virtualClock();
    const work = schedule({
      jobs: [{ name: 'a' }, { name: 'b' }, { name: 'c' }],
      devices: gpus(2),
      clock,
      async run({ name }) {
        await clock.sleep(name === 'a' ? 1 : 5);
        ended++;
        return 'done';
      },
      onEvent({ name, kind }) {
        if (name === 'a' && kind === 'done') throw new Error('disk full');
      },
    });
    await expect(clock.drive(work)).rejects.toThrow('disk full');
    expect(ended).toBe(2);
    expect(clock.now()).toBe(5);
  });
});
