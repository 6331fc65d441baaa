// Assignments and bounds against closed forms, and against the best of all assignments for a few jobs.
import { randomStream } from '@ct-ensemble/core';
import { balance, makespanBound } from './balance.ts';

const makespan = (
  seconds: readonly number[],
  jobs: readonly (readonly number[])[],
  busy: readonly number[],
) => Math.max(...jobs.map((own, machine) => own.reduce((sum, job) => sum + seconds[job]!, busy[machine]!)));

/** The best makespan of all assignments, by trying every one. */
function best(seconds: readonly number[], busy: readonly number[]): number {
  const [first, ...others] = seconds;
  if (first === undefined) return Math.max(...busy);
  return Math.min(...busy.map((load, machine) => best(others, busy.with(machine, load + first))));
}

test('every job is assigned once, within 5 % of the best of all assignments', () => {
  const random = randomStream({ seed: 5, purpose: 'test of assignments' });
  for (let i = 0; i < 60; i++) {
    const machines = 2 + random.integer(2);
    const busy = Array.from({ length: machines }, () => (i % 2 === 0 ? 0 : 8 * random.uniform()));
    const seconds = Array.from({ length: 3 + random.integer(6) }, () => 1 + 9 * random.uniform());
    const jobs = balance(
      seconds,
      busy.map((each) => ({ busy: each })),
    );
    expect(jobs.flat().sort((a, b) => a - b)).toEqual([...seconds.keys()]);
    const optimum = best(seconds, busy);
    expect(makespan(seconds, jobs, busy)).toBeGreaterThanOrEqual(optimum - 1e-9);
    expect(makespan(seconds, jobs, busy)).toBeLessThanOrEqual(1.05 * optimum);
    expect(makespanBound(seconds, machines)).toBeLessThanOrEqual(best(seconds, busy.map(() => 0)) + 1e-9); // prettier-ignore
  }
});

test('a given assignment is kept if it is not worse', () => {
  const before = [[1, 2], [0]];
  expect(balance([4, 2, 2], [{ busy: 0 }, { busy: 0 }], before)).toEqual([[1, 2], [0]]);
});

test.each([
  { what: 'equal jobs: ⌈n / m⌉ · p', seconds: Array<number>(7).fill(3), machines: 3, bound: 9 },
  { what: 'a sum that divides', seconds: [4, 3, 3, 2], machines: 2, bound: 6 },
  { what: 'one long job', seconds: [9, 1, 1], machines: 3, bound: 9 },
  { what: 'one job more than machines: the two shortest', seconds: [5, 4, 4, 3], machines: 3, bound: 7 },
  { what: 'no job', seconds: [], machines: 2, bound: 0 },
])('the bound of $what', ({ seconds, machines, bound }) => {
  expect(makespanBound(seconds, machines)).toBe(bound);
});
