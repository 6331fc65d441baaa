import { chooseCases } from './cases.ts';
import { instructionsIn } from './machine.ts';
import { type CaseResult, measurement } from './measure.ts';
import { markdown, resultLines, withTable } from './report.ts';

const [two, memory] = chooseCases(
  ['two-members', 'memory'],
  {
    architecture: 'densenet161',
    depth: 64,
    views: [64],
    size: 224,
    device: { kind: 'cpu', index: 0 },
    tf32: false,
    weights: '',
    volumes: '',
  },
  {},
);
const rest = {
  libraries: { here: 'TensorFlow 2', peer: 'PyTorch 2' },
  compute: { here: 'float32', peer: 'float32' },
  first: { here: [1], peer: [1] },
  last: { here: [1], peer: [1] },
  seconds: [],
  others: 0.034,
};
const pairs = [
  { here: 2, peer: 3 },
  { here: 2, peer: 2.5 },
  { here: 2, peer: 2.5 },
];
const results: CaseResult[] = [
  {
    ...two!,
    ...rest,
    settings: two!,
    measurements: [measurement('step', pairs, { atLeast: 1.4 })],
    unmeasured: [],
  },
  {
    ...memory!,
    ...rest,
    settings: memory!,
    measurements: [measurement('peak RSS', [{ here: 4e9, peer: 5e9 }], { atMost: 1 })],
    unmeasured: [],
  },
];
const machine = { cpu: 'A CPU', cores: 2, instructions: ['avx512f'], memoryGiB: 24 };

test('result lines name the target and whether it is met', () => {
  expect(results.flatMap(resultLines)).toEqual([
    'RESULT two-members, step: 1.25 (quartiles 1.25–1.38, 3 pairs), target ≥ 1.40: missed',
    'RESULT memory, peak RSS: 0.80, target ≤ 1.00: met',
  ]);
  const busy = {
    ...results[0]!,
    others: 0.5,
    measurements: [{ ...results[0]!.measurements[0]!, met: null }],
  };
  expect(resultLines(busy)[0]).toContain('target ≥ 1.40: not judged, other programs took 50 % of the CPUs');
  expect(resultLines({ ...results[1]!, measurements: [], unmeasured: ['no /proc'] })).toEqual([
    'RESULT memory, not measured: no /proc',
  ]);
});

test('the table', () => {
  const text = markdown({ date: '2026-11-23', machine, cases: results });
  expect(text.split('\n').slice(0, 6)).toEqual([
    'densenet161 behind 64×224×224. TensorFlow 2; PyTorch 2. A CPU, 2 cores (avx512f), 24 GiB; other programs took at most 3 % of the CPUs in a case; 2026-11-23.',
    '',
    '| case        | what                                                             | here                  | peer                  | ratio            | pairs        | target | met |',
    '| ----------- | ---------------------------------------------------------------- | --------------------- | --------------------- | ---------------- | ------------ | ------ | --- |',
    // two members, batch 4: 8 scans in 2 seconds
    '| two-members | two members train at once, batch 4, float32, 1 thread each: step | 2.000 s, 4.00 scans/s | 2.500 s, 3.20 scans/s | 1.25 (1.25–1.38) | 3 of 3 steps | ≥ 1.40 | no  |',
    '| memory      | one member trains, batch 16, float32, 2 threads: peak RSS        | 4.00 GB               | 5.00 GB               | 0.80             | 1            | ≤ 1.00 | yes |',
  ]);
});

test('the table is written between its marker lines, and the rest of the document stays', () => {
  const made = withTable(undefined, 'old', 'f.md');
  const document = `# Before\n\n${made}\nAfter\n`;
  expect(withTable(document, 'new', 'f.md')).toBe(document.replace('old', 'new'));
  expect(() => withTable('# No marks\n', 'new', 'f.md')).toThrow('f.md: has no marker lines for the table');
});

test('the instruction set from /proc/cpuinfo of x86 and Arm', () => {
  expect(instructionsIn('processor : 0\nflags\t\t: fpu avx avx2 avx512f xavx512_bf16\n')).toEqual([
    'avx2',
    'avx512f',
  ]);
  expect(instructionsIn('Features\t: fp asimd bf16 sve\n')).toEqual(['asimd', 'sve', 'bf16']);
  expect(instructionsIn('')).toEqual([]);
});
