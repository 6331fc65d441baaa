import { predictionsOf } from '../predictions.ts';
import { answerAgreement } from './agreement.ts';

const answers = (called: number[]) =>
  predictionsOf({
    classes: 2,
    labels: called.map(() => 0),
    probabilities: called.map((k) => (k === 0 ? [0.7, 0.3] : [0.3, 0.7])),
  });

test("Cohen's example by hand: 35 of 50 answers are the same, 0.4 beyond chance", () => {
  // 20 both yes, 5 only A, 10 only B, 15 both no: chance agreement 0.5 · 0.6 + 0.5 · 0.4 = 0.5.
  const cells = (n: number, a: number, b: number) => Array.from({ length: n }, () => [a, b] as const);
  const pairs = [...cells(20, 1, 1), ...cells(5, 1, 0), ...cells(10, 0, 1), ...cells(15, 0, 0)];
  const { share, kappa } = answerAgreement(answers(pairs.map(([a]) => a)), answers(pairs.map(([, b]) => b)));
  expect(share).toBeCloseTo(0.7, 12);
  expect(kappa).toBeCloseTo(0.4, 12);
});

test('without any variety kappa is undefined', () => {
  expect(answerAgreement(answers([1, 1]), answers([1, 1]))).toEqual({ share: 1, kappa: null });
});
