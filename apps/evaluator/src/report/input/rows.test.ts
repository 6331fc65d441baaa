import { type Averaged, rowsOf } from './rows.ts';

const member = (name: string, rows: Record<string, number[]>, members = [name]): Averaged => ({
  name,
  kind: members.length > 1 ? 'group' : 'member',
  members,
  byKey: new Map(Object.entries(rows)),
});
const a = member('a', { x: [1, 0], y: [0.5, 0.5] });
const b = member('b', { x: [0.5, 0.5], y: [0, 1] });
const c = member('c', { x: [0, 1] });

test('members, submissions and the mean of all, each once', () => {
  const rows = rowsOf([a, b], {
    keys: ['x', 'y'],
    submissions: [
      { name: 'only-a', members: ['a'] },
      { name: 'both', members: ['b', 'a'] },
      { name: 'with-missing', members: ['a', 'z'] },
    ],
  });
  expect(rows.map(({ name, kind, submissions }) => [name, kind, submissions])).toEqual([
    ['a', 'member', ['only-a']],
    ['b', 'member', []],
    ['both', 'ensemble', ['both']],
  ]);
  expect(rows[2]!.probabilities).toEqual([
    [0.75, 0.25],
    [0.25, 0.75],
  ]);
});

test('a scan that failed for one member has no mean', () => {
  const rows = rowsOf([a, c], { keys: ['x', 'y'], submissions: [] });
  expect(rows.map(({ name }) => name)).toEqual(['a', 'c', 'mean of all 2']);
  expect(rows[1]!.probabilities).toEqual([[0, 1], null]);
  expect(rows[2]!.probabilities).toEqual([[0.5, 0.5], null]);
});

test('of groups a submission is a row only if it has whole groups', () => {
  const groups = [member('g', { x: [1, 0] }, ['g-1', 'g-2']), member('h', { x: [0, 1] }, ['h-1', 'h-2'])];
  const rows = rowsOf(groups, {
    keys: ['x'],
    submissions: [
      { name: 'whole', members: ['g-1', 'g-2'] },
      { name: 'part', members: ['g-1', 'h-1'] },
    ],
  });
  expect(rows.map(({ name, kind, members, submissions }) => [name, kind, members, submissions])).toEqual([
    ['g', 'group', ['g'], ['whole']],
    ['h', 'group', ['h'], []],
    ['mean of all 2', 'ensemble', ['g', 'h'], []],
  ]);
});

test('a submission that chooses is a row of its own before the mean of all, and no mean takes its name', () => {
  const rows = rowsOf([a, b], {
    keys: ['x', 'y'],
    submissions: [{ name: 'both', members: ['a', 'b'] }],
    chosen: [
      {
        name: 'cut',
        members: ['a', 'b'],
        words: 'mean; covid from 0.3 on',
        isStretched: true,
        byKey: new Map([['x', [0.9, 0.1]]]),
        mean: new Map([['x', [0.75, 0.25]]]),
      },
    ],
  });
  expect(rows.map(({ name, kind, submissions }) => [name, kind, submissions])).toEqual([
    ['a', 'member', []],
    ['b', 'member', []],
    ['both', 'ensemble', ['both']],
    ['cut', 'chosen', ['cut']],
  ]);
  expect(rows[3]).toMatchObject({
    members: ['a', 'b'],
    probabilities: [[0.9, 0.1], null],
    choice: { mean: [[0.75, 0.25], null], isStretched: true },
  });
});
