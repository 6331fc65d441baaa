import { didYouMean, isSafeName } from './names.ts';

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
