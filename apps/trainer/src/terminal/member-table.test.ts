// The table of the members: columns, narrow terminals, many members, text that could act on a terminal.
import { memberStates } from '@ct-ensemble/ensemble';
import { type MemberRow, memberTable, rate, stateText, wholeLine } from './member-table.ts';

const row = (name: string, more: Partial<MemberRow> = {}): MemberRow => ({
  name,
  state: 'waiting',
  device: null,
  epoch: 0,
  epochs: 24,
  step: null,
  stepsPerEpoch: null,
  loss: null,
  macroF1: null,
  best: null,
  samplesPerSecond: null,
  secondsLeft: null,
  message: null,
  ...more,
});
const training = (name: string) =>
  row(name, {
    state: 'training',
    device: 'gpu:0',
    epoch: 12,
    step: 3,
    stepsPerEpoch: 100,
    loss: 0.31234,
    macroF1: 0.81,
    best: 0.85,
    samplesPerSecond: 20.13,
    secondsLeft: 130,
  });
const sixty = [
  ...Array.from({ length: 8 }, (_, i) => training(`densenet121-${i + 1}`)),
  ...Array.from({ length: 20 }, (_, i) => row(`resnet18-${i + 1}`, { state: 'done', epoch: 24 })),
  ...Array.from({ length: 30 }, (_, i) => row(`efficientnet-${i + 1}`)),
  row('bad-1', { state: 'failed', message: 'killed by SIGSEGV' }),
  row('again-1', { state: 'waiting-to-retry', message: 'out of memory' }),
];

test('all numbers of a member in aligned columns', () => {
  expect(memberTable([training('densenet-1'), row('two')])).toEqual([
    '  member      state     epoch   step    loss  macro F1    best  scans/s   left  device',
    '● densenet-1  training  12/24  3/100  0.3123    0.8100  0.8500       20  2 min  gpu:0',
    '○ two         waiting    0/24',
  ]);
});

test('columns that are empty for all members are left out; a reason takes the place of numbers', () => {
  const failed = row('two', { state: 'failed', epoch: 3, loss: 1, message: 'scan 7: is damaged' });
  expect(memberTable([row('one'), failed])).toEqual([
    '  member  state    epoch',
    '○ one     waiting   0/24',
    '✖ two     failed  scan 7: is damaged',
  ]);
});

test.each([200, 100, 79, 60, 40, 30])(
  'no line is wider than %i characters, and name and state stay',
  (width) => {
    const lines = memberTable(sixty, { width });
    expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThanOrEqual(width);
    expect(lines).toHaveLength(61);
    expect(lines[1]).toMatch(/^● densenet121/);
    expect(lines[1]).toMatch(/trai/);
  },
);

test('the device is left out first, the epoch never', () => {
  const [head] = memberTable([training('densenet-1')], { width: 75 });
  expect(head).not.toMatch(/device|step/);
  expect(head).toMatch(/epoch.*loss.*macro F1.*best.*scans\/s.*left/);
  expect(memberTable([training('densenet-1')], { width: 34 })[0]).toMatch(/member +state +epoch$/);
});

test.each([62, 40, 24, 16, 12, 8, 5])(
  '60 members in %i lines: none is lost, those at work stay longest',
  (height) => {
    const lines = memberTable(sixty, { height, width: 100 });
    expect(lines.length).toBeLessThanOrEqual(height);
    const members = lines.filter((line) => /^[●✔○✖↻]/.test(line)).length;
    const counted = lines.slice(1).filter((line) => line.startsWith('  '));
    const folded = counted
      .flatMap((line) => [...line.matchAll(/(?:^ {2}|, )(\d+) (?:more )?[a-z]/g)])
      .map(([, count]) => Number(count));
    expect(folded.reduce((sum, count) => sum + count, members)).toBe(60);
    if (height >= 16) {
      for (let i = 1; i <= 8; i++) expect(lines.join('\n')).toContain(`densenet121-${i} `);
      expect(lines.join('\n')).toMatch(/✖ bad-1.*SIGSEGV/);
    }
    if (height <= 24 && height > 5)
      expect(lines.join('\n')).toMatch(/^ {2}30 waiting: efficientnet-1, efficientnet-2,/m);
  },
);

test('colours surround text and do not change it', () => {
  const plain = memberTable(sixty, { width: 79, height: 20 });
  const coloured = memberTable(sixty, { width: 79, height: 20, coloured: true });
  expect(coloured.join('\n')).toContain('\x1b[31m✖\x1b[0m bad-1');
  // eslint-disable-next-line no-control-regex
  expect(coloured.map((line) => line.replace(/\x1b\[\d+m/g, ''))).toEqual(plain);
});

test('names and reasons cannot act on the terminal', () => {
  const text = memberTable([row('a\x1b[2Jb', { state: 'failed', message: 'x\ny\x1b]0;t\x07' })]).join('\n');
  expect(text).toContain('a\\x1b[2Jb');
  expect(text.split('\n')).toHaveLength(2);
  expect(text).not.toContain('\x1b');
});

test('one line about the whole', () => {
  const counts = { done: 1, training: 2, 'waiting-to-retry': 1 };
  expect(
    wholeLine({ title: 'quick', counts, finished: 0.419, samplesPerSecond: 4.125, secondsLeft: 100 }),
  ).toBe(
    'quick: 1 of 4 members done · 41 % · about 2 min left · 4.13 scans/s · 2 training, 1 waiting to retry',
  );
  expect(
    wholeLine({ title: 'q', counts: { done: 3 }, finished: 1, samplesPerSecond: null, secondsLeft: 0 }),
  ).toBe('q: 3 of 3 members done · 100 %');
});

test('every state has a text, and rates keep two digits or more', () => {
  for (const state of memberStates) expect(stateText[state]).toMatch(/^[a-z ]+$/);
  expect([0.5, 9.999, 10, 1234.5].map(rate)).toEqual(['0.50', '10.00', '10', '1235']);
});
