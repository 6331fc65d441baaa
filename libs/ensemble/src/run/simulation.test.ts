// Whole runs in simulated time: the scheduler ends within 5 % of what is possible.
import { balance } from './balance.ts';
import { GRIDS, gridSeconds, optimalMakespan, simulate } from './simulation.ts';

const cases = Object.entries(GRIDS).flatMap(([grid, architectures]) =>
  [0, 0.03].map((noise) => ({ grid, architectures, noise })),
);

test.each(cases)(
  '6 to 60 members on 1 to 8 devices: $grid, durations ±$noise',
  async ({ architectures, noise }) => {
    for (const members of [6, 8, 13, 27]) {
      for (const devices of [1, 3, 5, 8]) {
        const seconds = gridSeconds(architectures, members);
        const { makespan, bound } = await simulate({ seconds, devices, noise, seed: members * 10 + devices });
        expect(makespan).toBeGreaterThanOrEqual(bound * (1 - 1e-9));
        if (makespan > 1.05 * bound)
          throw new Error(`${members} members on ${devices} devices: ${makespan / bound} times the bound`);
      }
    }
  },
);

test.each([
  { seconds: [3, 3, 2, 2, 2], machines: 2, optimum: 6 },
  { seconds: [5, 5, 4, 4, 3, 3, 3], machines: 3, optimum: 9 },
  { seconds: [7, 7, 7, 7], machines: 3, optimum: 14 },
])('the best makespan of $seconds on $machines machines is $optimum', ({ seconds, machines, optimum }) => {
  const found = optimalMakespan(seconds, machines);
  expect(found).toBeGreaterThan(optimum * 0.9998);
  expect(found).toBeLessThanOrEqual(optimum);
  const jobs = balance(seconds, Array(machines).fill({ busy: 0 }));
  expect(Math.max(...jobs.map((own) => own.reduce((sum, job) => sum + seconds[job]!, 0)))).toBe(optimum);
});
