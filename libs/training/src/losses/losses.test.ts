import { openEngine, type Engine } from '@ct-ensemble/engine';
import tf, { type Tensor2D } from '@tensorflow/tfjs';
import { binaryCrossEntropy } from './binary-cross-entropy.ts';

let engine: Engine;
afterEach(() => engine.close());

// torch.nn.functional.cross_entropy and the authors' formula with γ 1.5, in float64 (PyTorch 2.15).
const logits = [[2, -1], [0.3, 0.1], [-4, 4]]; // prettier-ignore
const truth = [[1, 0], [0, 1], [1, 0]]; // prettier-ignore
const expected = 2.7740731361328206;
const gradient = [-0.0004022834383810075, 0.0004022834383810078, 0.1479669963165304, -0.14796699631653043, -0.33439472720584523, 0.3343947272058453]; // prettier-ignore

test.each(['tensorflow', 'cpu'] as const)(
  "focal loss and its gradient are PyTorch's, on the engine %s",
  async (kind) => {
    engine = await openEngine({ engine: kind });
    const y = tf.tensor2d(truth);
    const { value, grad } = tf.valueAndGrad((x) => focalLoss(x as Tensor2D, y, 1.5))(tf.tensor2d(logits));
    expect(value.dataSync()[0]).toBeCloseTo(expected, 5);
    Array.from(grad.dataSync()).forEach((entry, i) => expect(entry).toBeCloseTo(gradient[i]!, 6));
  },
);

test('the gradient is finite where the network is certain', async () => {
  engine = await openEngine({ engine: 'tensorflow' });
  const sure = tf.tensor2d([[200, -200], [-200, 200]]); // prettier-ignore
  const { grad } = tf.valueAndGrad((x) => focalLoss(x as Tensor2D, tf.tensor2d([[1, 0], [1, 0]]), 1.5))(sure); // prettier-ignore
  expect(Array.from(grad.dataSync()).every(Number.isFinite)).toBe(true);
});

// torch.nn.functional.binary_cross_entropy_with_logits in float64 (PyTorch 2.15).
const binary = {
  logits: [2, -1, 0, 30, -50, 0.3],
  truth: [1, 0, 1, 0, 1, 0.25],
  loss: 13.652115353931626,
  gradient: [-0.01986715367035295, 0.04482357022833252, -0.08333333333333333, 0.1666666666666511, -0.16666666666666666, 0.054073752801943174], // prettier-ignore
};

test.each(['tensorflow', 'cpu'] as const)(
  "binary cross entropy and its gradient are PyTorch's, on the engine %s",
  async (kind) => {
    engine = await openEngine({ engine: kind });
    const truth = tf.tensor1d(binary.truth);
    const { value, grad } = tf.valueAndGrad((x) => binaryCrossEntropy(x, truth))(tf.tensor1d(binary.logits));
    expect(value.dataSync()[0]).toBeCloseTo(binary.loss, 5);
    Array.from(grad.dataSync()).forEach((entry, i) => expect(entry).toBeCloseTo(binary.gradient[i]!, 6));
  },
);
