// The estimate of a run's time against schedules worked out by hand.
import { timeLeft, type UnfinishedMember } from './time-left.ts';

const member = (more: Partial<UnfinishedMember>): UnfinishedMember => ({
  architecture: 'a',
  epochsLeft: 10,
  secondsPerEpoch: null,
  secondsLeft: null,
  ...more,
});
const ofArchitecture = new Map([
  ['a', 2],
  ['b', 6],
]);

test.each([
  ['nothing left', [], [], 2, 0],
  ['one at work', [member({ secondsLeft: 7 })], [], 1, 7],
  ['at work without an estimate of its own: 10 epochs of 2 s', [member({})], [], 1, 20],
  ['its own epochs count more than its architecture', [member({ secondsPerEpoch: 3 })], [], 1, 30],
  ['an architecture that has not trained yet: mean of all', [], [member({ architecture: 'c' })], 1, 40],
  // Slots are free after 5 s and 0 s: 60 s go to the second, 20 s to the first, 20 s to the first again.
  [
    'longest first',
    [member({ secondsLeft: 5 })],
    [member({}), member({ architecture: 'b' }), member({})],
    2,
    60,
  ],
  ['one slot, one after the other', [member({ secondsLeft: 5 })], [member({}), member({})], 1, 45],
])('%s', (_, active, waiting, slots, expected) => {
  expect(timeLeft({ active, waiting, slots, secondsPerEpoch: ofArchitecture })).toBe(expected);
});

test('without any duration the time is not known', () => {
  expect(timeLeft({ active: [], waiting: [member({})], slots: 1, secondsPerEpoch: new Map() })).toBeNull();
});
