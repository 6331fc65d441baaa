// Grouped convolution, as in ResNeXt, on any backend.
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import { EngineError } from '../errors.ts';
import { GROUPED_CONV2D } from '../kernels/grouped-conv2d.ts';

export interface GroupedConv2dArgs {
  /** [batch, height, width, channels] */
  x: Tensor4D;
  /** [height, width, channels / groups, outputs]; its third size determines the number of groups. */
  filter: Tensor4D;
  strides: number | [number, number];
  /**
   * `same` or `valid` as in TensorFlow, or the number of zeros on each side as in PyTorch, less than the filter's
   * height and width.
   */
  pad: 'same' | 'valid' | number;
}

/**
 * Convolves each group of channels with its own part of the filter and concatenates the groups' outputs, like PyTorch's
 * `conv2d(…, groups)`. Uses the kernel GroupedConv2D of the backend if it has one, as this engine's does, and tfjs's
 * split, conv2d and concat otherwise.
 *
 * @returns [batch, height, width, outputs]
 * @throws EngineError 'tensorflow' if channels or outputs do not divide into groups, or the padding is too large.
 */
export function groupedConv2d({ x, filter, strides, pad }: GroupedConv2dArgs): Tensor4D {
  const groups = x.shape[3] / filter.shape[2];
  const [height, width, depth, outputs] = filter.shape;
  const refuse = (problem: string, remedy: string) => {
    throw new EngineError('tensorflow', `groupedConv2d: ${problem}`, { remedy });
  };
  if (!Number.isInteger(groups) || !Number.isInteger(outputs / groups)) {
    const sizes = `an image of ${x.shape[3]} channels and a filter [${filter.shape.join(', ')}]`;
    refuse(`${sizes} do not divide into groups`, `the filter takes channels / groups = ${depth} channels`);
  }
  if (typeof pad === 'number' && pad >= Math.min(height, width))
    refuse(`padding ${pad} for a filter of ${height} × ${width}`, 'use less padding, or call tf.pad before');
  const padding = typeof pad === 'number' ? explicit(pad) : pad;
  if (groups === 1) return tf.conv2d(x, filter, strides, padding);
  if (tf.getKernel(GROUPED_CONV2D, tf.getBackend()))
    return tf.engine().runKernel(GROUPED_CONV2D, { x, filter }, { strides, pad: padding });
  const filters = tf.split(filter, groups, 3) as Tensor4D[];
  const images = tf.split(x, groups, 3) as Tensor4D[];
  return tf.concat(
    images.map((image, i) => tf.conv2d(image, filters[i]!, strides, padding)),
    3,
  );
}

/** Explicit padding, because tfjs's `pad: number` assumes a square filter. */
const explicit = (pad: number) =>
  [[0, 0], [pad, pad], [pad, pad], [0, 0]] as [[0, 0], [number, number], [number, number], [0, 0]]; // prettier-ignore
