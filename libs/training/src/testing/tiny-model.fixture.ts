// A classifier without batch normalisation that trains in milliseconds, for tests of everything around a network.
import { randomStream } from '@ct-ensemble/core';
import type { Model, Parameter } from '@ct-ensemble/models';
import tf, { type Tensor, type Tensor2D, type Variable } from '@tensorflow/tfjs';

/**
 * The means of a 4 × 4 grid over each slice → 8 units with ReLU → classes.
 *
 * @param limit a logit's gradient beyond it becomes infinite, as beyond 65504 in float16
 */
export function tinyModel({ depth = 4, classes = 2, seed = 5, limit = Infinity } = {}): Model {
  const limited = tf.customGrad((x) => ({
    value: (x as Tensor).clone(),
    gradFunc: (dy: Tensor) => tf.where(tf.greater(tf.abs(dy), limit), tf.fill(dy.shape, Infinity), dy),
  }));
  const parameter = (name: string, shape: number[]): Parameter => {
    const random = randomStream({ seed, purpose: 'init', sample: name });
    const size = tf.util.sizeFromShape(shape);
    const values = Array.from({ length: size }, () => random.normal() / Math.sqrt(shape[0]!));
    const variable = tf.tidy(() => tf.variable(tf.tensor(values, shape))) as Variable;
    return { name, layout: shape.length === 2 ? 'linear' : 'vector', variable };
  };
  const list = [
    parameter('hidden.weight', [16 * depth, 8]),
    parameter('hidden.bias', [8]),
    parameter('head.weight', [8, classes]),
    parameter('head.bias', [classes]),
  ];
  const [w1, b1, w2, b2] = list.map(({ variable }) => variable) as [Variable, Variable, Variable, Variable];
  const dispose = () => list.forEach(({ variable }) => variable.dispose());
  return {
    architecture: 'tiny',
    options: { views: [depth], classes, seed },
    parameters: {
      byName: new Map(list.map((parameter) => [parameter.name, parameter])),
      counters: new Map(),
      trainable: () => list,
      dispose,
    },
    forward(x) {
      const edge = x.shape[1] / 4;
      const grid = tf.avgPool(x, edge, edge, 'valid');
      const features = tf.reshape(grid, [x.shape[0], -1]) as Tensor2D;
      const hidden = tf.relu(tf.add(tf.matMul(features, w1 as unknown as Tensor2D), b1));
      const logits = tf.add(tf.matMul(hidden as Tensor2D, w2 as unknown as Tensor2D), b2);
      return (limit < Infinity ? limited(logits) : logits) as Tensor2D;
    },
    dispose,
  };
}
