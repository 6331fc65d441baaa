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

const schedules: {
  name: string;
  active?: UnfinishedMember[];
  waiting?: UnfinishedMember[];
  slots?: number;
  expected: number;
}[] = [
  { name: 'nothing left', expected: 0 },
  { name: 'one at work', active: [member({ secondsLeft: 7 })], expected: 7 },
  { name: 'at work without an estimate of its own: 10 epochs of 2 s', active: [member({})], expected: 20 },
  { name: 'its own epochs before its architecture', active: [member({ secondsPerEpoch: 3 })], expected: 30 },
  { name: 'a new architecture: mean of all', waiting: [member({ architecture: 'c' })], expected: 40 },
  {
    // Slots are free after 5 s and 0 s: 60 s go to the second, 20 s to the first, 20 s to the first again.
    name: 'longest first',
    active: [member({ secondsLeft: 5 })],
    waiting: [member({}), member({ architecture: 'b' }), member({})],
    slots: 2,
    expected: 60,
  },
  {
    name: 'one slot, one after the other',
    active: [member({ secondsLeft: 5 })],
    waiting: [member({}), member({})],
    expected: 45,
  },
];

test.each(schedules)('$name', ({ active = [], waiting = [], slots = 1, expected }) => {
  expect(timeLeft({ active, waiting, slots, secondsPerEpoch: ofArchitecture })).toBe(expected);
});

test('without any duration the time is not known', () => {
  expect(timeLeft({ active: [], waiting: [member({})], slots: 1, secondsPerEpoch: new Map() })).toBeNull();
});
