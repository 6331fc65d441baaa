// Dilated depthwise convolutions, which are computed as grouped convolutions, against their definition.
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import { openEngine, type Engine } from '../engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine();
});
afterAll(() => engine.close());

const HEIGHT = 6;
const WIDTH = 7;
const CHANNELS = 3;
const FILTER = 2;

/** y[i, j, c·M + m] = Σ x[i + a·dilation, j + b·dilation, c] · w[a, b, c, m], without padding. */
function defined(
  x: number[],
  w: number[],
  { multiplier, dilation }: { multiplier: number; dilation: number },
) {
  const reach = dilation * (FILTER - 1);
  const taps = [0, 1].flatMap((a) => [0, 1].map((b) => [a, b] as const));
  const y: number[] = [];
  for (let i = 0; i < HEIGHT - reach; i++)
    for (let j = 0; j < WIDTH - reach; j++)
      for (let c = 0; c < CHANNELS; c++)
        for (let m = 0; m < multiplier; m++)
          y.push(
            taps.reduce((sum, [a, b]) => {
              const pixel = x[((i + a * dilation) * WIDTH + j + b * dilation) * CHANNELS + c]!;
              return sum + pixel * w[((a * FILTER + b) * CHANNELS + c) * multiplier + m]!;
            }, 0),
          );
  return y;
}

test.each([
  { multiplier: 1, dilation: 2 },
  { multiplier: 2, dilation: 3 },
])('%j', ({ multiplier, dilation }) => {
  // Small whole numbers, so that every sum is exact.
  const x = Array.from({ length: HEIGHT * WIDTH * CHANNELS }, (_, i) => ((i * 7) % 11) - 5);
  const w = Array.from({ length: FILTER * FILTER * CHANNELS * multiplier }, (_, i) => ((i * 5) % 7) - 3);
  const expected = defined(x, w, { multiplier, dilation });
  const image = tf.tensor4d(x, [1, HEIGHT, WIDTH, CHANNELS]);
  const filter = tf.tensor4d(w, [FILTER, FILTER, CHANNELS, multiplier]);
  const y = tf.depthwiseConv2d(image, filter, 1, 'valid', 'NHWC', dilation);
  expect(Array.from(y.dataSync())).toEqual(expected);
  const first = tf.transpose(image, [0, 3, 1, 2]) as Tensor4D;
  const turned = tf.depthwiseConv2d(first, filter, 1, 'valid', 'NCHW', dilation);
  expect(Array.from(tf.transpose(turned, [0, 2, 3, 1]).dataSync())).toEqual(expected);
});
