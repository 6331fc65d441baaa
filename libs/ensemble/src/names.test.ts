import { didYouMean, isSafeName, safeFileNames } from './names.ts';

test.each(['a', 'densenet161-1', 'non-covid', 'v1.2_b', 'x'.repeat(64)])('%j is a safe name', (name) => {
  expect(isSafeName(name)).toBe(true);
});

test.each(['', '.', '..', '.git', '-x', 'a/b', 'a\\b', 'a b', 'a\n', 'a.', 'é', 'x'.repeat(65)])(
  '%j is no safe name',
  (name) => {
    expect(isSafeName(name)).toBe(false);
  },
);

test.each([
  ['quik', ' (did you mean "quick"?)'],
  ['taks', ' (did you mean "task"?)'],
  ['BATCH_SIZE', ' (did you mean "batchSize"?)'],
  ['elephant', ''],
  ['zz', ''],
])('%s →%s', (word, answer) => {
  expect(didYouMean(word, ['ab', 'quick', 'task', 'batchSize'])).toBe(answer);
});

test('safe file names: safe ones stay, others are made safe, none is taken twice', () => {
  const names = [
    'covid',
    '__proto__',
    'constructor',
    'a b',
    'a,b',
    'A_B',
    'Müde',
    '..',
    'x/../y',
    'Covid',
    '',
  ];
  const files = safeFileNames(names);
  expect(files).toEqual([
    'covid',
    'proto',
    'constructor',
    'a_b_2',
    'a_b_3',
    'A_B',
    'M_de',
    'class',
    'x_.._y',
    'Covid_2',
    'class_2',
  ]);
  expect(files.every(isSafeName)).toBe(true);
});
