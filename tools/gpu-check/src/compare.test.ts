// The comparison of two trainings. compare-main.slow.test.ts runs the program that trains them.
import { differences } from './compare.ts';
import type { Trained } from './member-worker.ts';

const trained = (losses: number[], weights = 'a'): Trained => ({
  description: 'one',
  notes: [],
  losses,
  weights,
  seconds: 1,
});

test.each([
  { what: 'equal', left: trained([1, 0.5]), found: [] },
  { what: 'other weights', left: trained([1, 0.5], 'b'), found: [/the weights differ/] },
  {
    what: 'another last digit',
    left: trained([1, 0.5000001]),
    found: [/losses of step 2 are 0\.5000001 and 0\.5/],
  },
  { what: 'within the tolerance', left: trained([1, 0.5004], 'b'), tolerance: 1e-3, found: [] },
  { what: 'beyond it', left: trained([1, 0.5006]), tolerance: 1e-3, found: [/step 2/] },
  { what: 'fewer steps', left: trained([1]), tolerance: 1e-3, found: [/1 and 2 steps/] },
  { what: 'not a number', left: trained([1, Number.NaN]), tolerance: 1e-3, found: [/a loss is NaN/] },
])('$what', ({ left, tolerance, found }) => {
  const right = trained([1, 0.5]);
  expect(differences([right, left], right, tolerance)).toEqual(
    found.map((line) => expect.stringMatching(line) as string),
  );
});
