import { paces } from './seconds-left.ts';

test('a member of 10 epochs of 4 steps of 3 seconds, resumed after 2 epochs', () => {
  let now = 100;
  const { started, progress, secondsLeft } = paces(() => now);
  const about = { epochs: 10, stepsPerEpoch: 4 };
  expect(secondsLeft('a')).toBeUndefined();
  progress('a', { ...about, kind: 'resumed', epoch: 2, step: 0 });
  expect(secondsLeft('a')).toBeUndefined();
  now += 3;
  progress('a', { ...about, kind: 'step', epoch: 3, step: 1 });
  expect(secondsLeft('a')).toBeCloseTo(31 * 3);
  now += 9;
  progress('a', { ...about, kind: 'epoch', epoch: 3, step: 4 });
  expect(secondsLeft('a')).toBeCloseTo(28 * 3);
  now += 2;
  expect(secondsLeft('a')).toBeCloseTo(28 * 3 - 2);
  started('a');
  expect(secondsLeft('a')).toBeUndefined();
});
