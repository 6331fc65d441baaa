// The rows of the members as the coordinator's events change them, and their rates and times worked out by hand.
import type { MemberEvent } from '@ct-ensemble/ensemble';
import { planOf } from '../testing/made-run.ts';
import { describe as textOf, memberRows } from './members.ts';

type Progress = Extract<MemberEvent, { kind: 'progress' }>['progress'];

// 4 epochs, batches of 3 scans, two devices
const rowsOf = (members: readonly string[]) => memberRows(planOf(members));
const progress = (member: string, fields: Partial<Progress>): MemberEvent => ({
  member,
  kind: 'progress',
  progress: {
    kind: 'step',
    epoch: 1,
    epochs: 4,
    step: 1,
    stepsPerEpoch: 10,
    loss: 0.7,
    macroF1: null,
    best: null,
    seconds: 2,
    ...fields,
  },
});

test('from waiting to done', () => {
  const members = rowsOf(['one', 'two', 'three']);
  expect(members.row('one')).toMatchObject({ state: 'waiting', epoch: 0, epochs: 4, device: null });
  members.event({ member: 'one', kind: 'started', device: 'cpu:1', attempt: 1 });
  expect(members.row('one')).toMatchObject({ state: 'starting', device: 'cpu:1' });
  members.event(progress('one', { step: 5 }));
  // Steps of 2 s with 3 scans; 35 steps are left.
  expect(members.row('one')).toMatchObject({
    state: 'training',
    epoch: 1,
    step: 5,
    samplesPerSecond: 1.5,
    secondsLeft: 70,
  });
  members.event(progress('one', { kind: 'epoch', step: 10, macroF1: 0.5, best: 0.5, seconds: 30 }));
  expect(members.row('one')).toMatchObject({ step: null, macroF1: 0.5, secondsLeft: 90 });
  members.event(progress('one', { epoch: 2, step: 5 }));
  // An epoch takes 30 s with its validation; 2.5 epochs are left.
  expect(members.row('one')).toMatchObject({ epoch: 2, secondsLeft: 75 });
  members.event(progress('one', { kind: 'epoch', epoch: 4, best: 0.9, macroF1: 0.9, seconds: 30 }));
  expect(members.row('one')).toMatchObject({ state: 'predicting', secondsLeft: 0 });
  members.event({ member: 'one', kind: 'done', macroF1: 0.9 });
  expect(members.row('one')).toMatchObject({ state: 'done', epoch: 4, best: 0.9, samplesPerSecond: null });
  // Two members with 4 epochs of 30 s each, on two devices.
  expect(members.whole()).toBe('tiny: 1 of 3 members done · 33 % · about 2 min left · 2 waiting');
});

test('a longer step counts for a fifth of the rate', () => {
  const members = rowsOf(['one']);
  members.event(progress('one', { seconds: 1 }));
  members.event(progress('one', { step: 2, seconds: 6 }));
  expect(members.row('one').samplesPerSecond).toBeCloseTo(3 / 2, 12);
});

test('resumed inside an epoch, failed, tried again, failed at last', () => {
  const members = rowsOf(['one', 'two']);
  const resumed = progress('one', { kind: 'resumed', epoch: 2, step: 5, seconds: 0 });
  members.event(resumed);
  expect(textOf(resumed, members.row('one'))).toBe(
    'resumed from its checkpoint after epoch 2 of 4 and step 5 of 10 of the next',
  );
  expect(members.whole()).toMatch(/ done · 31 % · 1 training, 1 waiting$/); // 2.5 of 8 epochs
  members.event({ member: 'one', kind: 'retrying', reason: 'out of memory', attempt: 1, wait: 4 });
  expect(members.row('one')).toMatchObject({
    state: 'waiting-to-retry',
    message: 'attempt 2 in 4 s: out of memory',
  });
  members.event({ member: 'one', kind: 'started', device: 'gpu:0', attempt: 2 });
  expect(members.row('one')).toMatchObject({ state: 'starting', message: null });
  const failed: MemberEvent = { member: 'one', kind: 'failed', reason: 'killed by SIGSEGV' };
  members.event(failed);
  expect(members.row('one')).toMatchObject({ state: 'failed', message: 'killed by SIGSEGV' });
  expect(textOf(failed, members.row('one'))).toBe('FAILED: killed by SIGSEGV');
});

test('a line for an epoch has scores, rate and time left', () => {
  const members = rowsOf(['one']);
  members.event(progress('one', { seconds: 2 }));
  const epoch = progress('one', { kind: 'epoch', loss: 0.25, macroF1: 0.5, best: 0.75, seconds: 40 });
  members.event(epoch);
  expect(textOf(epoch, members.row('one'))).toBe(
    'epoch 1/4, loss 0.2500, macro F1 0.5000 (best 0.7500), 1.50 scans/s, 2 min left',
  );
});

test('members that are done already or shall not be trained', () => {
  const members = rowsOf(['one', 'two', 'three']);
  members.event({ member: 'one', kind: 'skipped', macroF1: 0.5 });
  members.event({ member: 'two', kind: 'untrained' });
  members.event({ member: 'three', kind: 'started', device: 'cpu:1', attempt: 1, splits: ['test'] });
  expect(members.rows().map(({ state }) => state)).toEqual(['done', 'not-started', 'predicting']);
});
