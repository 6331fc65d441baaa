// The table and the verdicts of bench:predict.
import { type PredictRun, predictReport } from './predict-report.ts';

const run = (library: string, [prepare, forward]: [number, number], starts: number[]): PredictRun => ({
  starts: starts.map((seconds) => ({ seconds, cpu: 2 * seconds })),
  answers: [1, 1.5, 2].map((load) => ({
    library,
    prepare: load * prepare,
    forward: load * forward,
    prepareCpu: prepare,
    forwardCpu: 2 * forward,
    cpu: 9,
  })),
});

const runs = new Map([
  ['own', run('TensorFlow', [0.2, 0.4], [4, 6])],
  ['pytorch', run('PyTorch', [0.3, 0.6], [8, 9])],
  ['pytorch-compiled', run('PyTorch', [0.4, 0.3], [90])],
  ['onnx', run('ONNX Runtime', [0.2, 0.34], [3, 6])],
]);

test('a row for each side: medians of the times, and of the ratios of answers that were measured one after the other', () => {
  const lines = predictReport(runs).split('\n');
  expect(lines[2]).toBe('| own: TensorFlow | 0.900 s |  | 0.600 s |  | 1.000 s |  | 5.0 s (10.0 CPU s) |  |');
  expect(lines[3]).toBe(
    '| pytorch: PyTorch | 1.350 s | 1.50 (1.50–1.50) | 0.900 s | 1.50 (1.50–1.50) | 1.500 s | 1.50 (1.50–1.50) | 8.5 s (17.0 CPU s) | 1.75 (1.63–1.88) |',
  );
  expect(lines[4]).toContain('| 90.0 s (180.0 CPU s) | 15.00 (15.00–15.00) |'); // its only start came after this project's last
});

test('the fastest peer decides whether a target is met', () => {
  const verdicts = predictReport(runs).split('\n').slice(-3);
  expect(verdicts).toEqual([
    'RESULT answer: 0.90 times as fast as the fastest peer, onnx; target 1.00: missed',
    'RESULT CPU seconds: 0.88 times as fast as the fastest peer, onnx; target 1.00: missed',
    'RESULT start to first answer: 0.88 times as fast as the fastest peer, onnx; target 1.00: missed',
  ]);
  const without = new Map([...runs].filter(([name]) => name !== 'onnx'));
  expect(predictReport(without)).toContain('RESULT answer: 1.17 times as fast as the fastest peer, pytorch-compiled; target 1.00: met'); // prettier-ignore
});
