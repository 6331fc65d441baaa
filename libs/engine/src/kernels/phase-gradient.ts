// The input gradient of a strided convolution of few channels (a network's first: 7×7, stride 2, of 3 channels), phase by
// phase. oneDNN's kernel works on 16 channels at a time and wastes most of them; here the stride² phases of the
// image are channels of one convolution without stride: 0.4 of the time, 5 % of a training step of DenseNet-161.
import tf, { type backend_util, type Tensor4D } from '@tensorflow/tfjs';

type Info = backend_util.Conv2DInfo;

export function hasFewChannels(info: Info): boolean {
  const { inChannels, strideHeight, strideWidth, dilationHeight, dilationWidth } = info;
  const dense = dilationHeight === 1 && dilationWidth === 1;
  return inChannels <= 4 && strideHeight === strideWidth && strideHeight > 1 && dense;
}

/**
 * dx[s·m + p] = Σ_q dy[m − q] · w[s·q + p] in both directions, for stride s and the phases p = 0 … s − 1; NHWC.
 *
 * @param info with the numbers of windows of dy
 */
export function phaseInputGradient(dy: Tensor4D, filter: Tensor4D, info: Info): Tensor4D {
  const [height, width, channels, filters] = filter.shape;
  const s = info.strideHeight;
  const [rows, columns] = [Math.ceil(height / s), Math.ceil(width / s)];
  const whole = tf.pad(filter, [[0, rows * s - height], [0, columns * s - width], [0, 0], [0, 0]]); // prettier-ignore
  const flipped = tf.reverse(tf.reshape(whole, [rows, s, columns, s * channels * filters]), [0, 2]);
  const phases = tf.reshape(
    tf.transpose(tf.reshape(flipped, [rows, s, columns, s, channels, filters]), [0, 2, 5, 1, 3, 4]),
    [rows, columns, filters, s * s * channels],
  ) as Tensor4D;
  const around = tf.pad(dy, [[0, 0], [rows - 1, rows - 1], [columns - 1, columns - 1], [0, 0]]); // prettier-ignore
  const image = tf.depthToSpace(tf.conv2d(around, phases, 1, 'valid'), s);
  const { top, left } = info.padInfo;
  const missing = (size: number, has: number) => [0, Math.max(size - has, 0)] as [number, number];
  const beyond = [missing(top + info.inHeight, image.shape[1]), missing(left + info.inWidth, image.shape[2])];
  const padded = tf.pad(image, [[0, 0], ...beyond, [0, 0]]);
  return tf.slice(padded, [0, top, left, 0], [-1, info.inHeight, info.inWidth, channels]);
}
