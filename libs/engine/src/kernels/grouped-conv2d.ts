// Grouped convolution: TensorFlow's Conv2D with a filter of fewer input channels than the image. TensorFlow has its
// gradients only on GPUs; on CPUs both are expressed as grouped convolutions, which oneDNN computes as fast as PyTorch.
import tf, {
  type backend_util,
  type GradConfig,
  type KernelConfig,
  type Tensor,
  type Tensor4D,
} from '@tensorflow/tfjs';
import { activeBackend, type TensorFlowBackend } from '../backend/backend.ts';
import { DataType } from '../native/types.ts';
import { ints, text, type } from './attributes.ts';
import { convolutionInfo, convolve } from './convolution.ts';
import { paddingsOf } from './window.ts';

export const GROUPED_CONV2D = 'GroupedConv2D';

type Info = backend_util.Conv2DInfo;

export const groupedConv2dKernel: KernelConfig = {
  kernelName: GROUPED_CONV2D,
  backendName: 'tensorflow',
  kernelFunc({ inputs, attrs, backend }) {
    const { x, filter } = inputs as Record<'x' | 'filter', Tensor4D>;
    const info = convolutionInfo(attrs, 'Conv2D', { x: x.shape, filter: filter.shape });
    return convolve(backend as TensorFlowBackend, { name: 'Conv2D', info, inputs: [x, filter] });
  },
};

export const groupedConv2dGradient: GradConfig = {
  kernelName: GROUPED_CONV2D,
  inputsToSave: ['x', 'filter'],
  gradFunc(dy, saved, attrs) {
    const engine = activeBackend()!;
    const [x, filter] = saved as [Tensor4D, Tensor4D];
    const info = convolutionInfo(attrs, 'Conv2D', { x: x.shape, filter: filter.shape });
    const call = { engine, info, dy: dy as Tensor4D };
    const native = engine.engine.isUsingGpuDevice();
    return {
      x: () => tf.tidy(() => (native ? nativeGradient(call, 'Input', filter) : inputGradient(call, filter))),
      filter: () => tf.tidy(() => (native ? nativeGradient(call, 'Filter', x) : filterGradient(call, x))),
    };
  },
};

interface Call {
  engine: TensorFlowBackend;
  info: Info;
  dy: Tensor4D;
}

function nativeGradient({ engine, info, dy }: Call, of: 'Input' | 'Filter', other: Tensor4D) {
  const size = tf.tensor1d(of === 'Input' ? info.inShape : info.filterShape, 'int32');
  const inputs = of === 'Input' ? [size, other, dy] : [other, size, dy];
  return convolve(engine, { name: `Conv2DBackprop${of}`, info, inputs });
}

/**
 * dy, with zeros inserted for the stride, convolved with the filter rotated by 180° and with inputs and outputs
 * swapped.
 */
function inputGradient({ engine, info, dy }: Call, filter: Tensor4D) {
  const { strideHeight, strideWidth, filterHeight, filterWidth, outHeight, outWidth } = info;
  const [groups, depth, outputs] = sizesOf(info);
  const turned = tf.reshape(
    tf.transpose(
      tf.reshape(tf.reverse(filter, [0, 1]), [filterHeight, filterWidth, depth, groups, outputs]),
      [0, 1, 4, 3, 2],
    ),
    [filterHeight, filterWidth, outputs, groups * depth],
  ) as Tensor4D;
  const [top, left] = [filterHeight - 1 - info.padInfo.top, filterWidth - 1 - info.padInfo.left];
  const bottom = info.inHeight - 1 - (outHeight - 1) * strideHeight + info.padInfo.top;
  const right = info.inWidth - 1 - (outWidth - 1) * strideWidth + info.padInfo.left;
  const spread = spreadOut(dy, strideHeight, strideWidth);
  return convolved(engine, [spread, turned], { paddings: [top, bottom, left, right] });
}

/** The image with stride − 1 rows and columns of zeros inserted between its pixels. */
function spreadOut(x: Tensor4D, strideHeight: number, strideWidth: number): Tensor4D {
  if (strideHeight === 1 && strideWidth === 1) return x;
  const [n, height, width, channels] = x.shape;
  const cells: Tensor = tf.reshape(x, [n, height, 1, width, 1, channels]);
  const spread = tf.pad(cells, [[0, 0], [0, 0], [0, strideHeight - 1], [0, 0], [0, strideWidth - 1], [0, 0]]); // prettier-ignore
  const rows = tf.reshape(spread, [n, height * strideHeight, width * strideWidth, channels]) as Tensor4D;
  return tf.slice(rows, 0, [n, (height - 1) * strideHeight + 1, (width - 1) * strideWidth + 1, channels]);
}

/**
 * The image convolved with dy as the filter: the stride becomes the dilation, and the batch takes the role of the
 * channels.
 */
function filterGradient({ engine, info, dy }: Call, x: Tensor4D) {
  const [groups, depth] = sizesOf(info);
  const { batchSize, inHeight, inWidth, filterHeight, filterWidth, outChannels } = info;
  const [, [top, bottom], [left, right]] = paddingsOf(info);
  const images = tf.reshape(
    tf.transpose(tf.reshape(x, [batchSize, inHeight, inWidth, groups, depth]), [4, 1, 2, 3, 0]),
    [depth, inHeight, inWidth, groups * batchSize],
  ) as Tensor4D;
  const gradient = convolved(engine, [images, tf.transpose(dy, [1, 2, 0, 3])], {
    paddings: [top, bottom, left, right],
    dilations: [info.strideHeight, info.strideWidth],
  });
  // The result may have extra rows and columns, for image pixels beyond the last window; they are cut off.
  const reached = tf.slice(gradient, 0, [depth, filterHeight, filterWidth, outChannels]);
  return tf.transpose(reached, [1, 2, 0, 3]);
}

/** [groups, input channels per group, output channels per group] */
function sizesOf({ inChannels, outChannels, filterShape }: Info): [number, number, number] {
  const depth = filterShape[2];
  const groups = inChannels / depth;
  return [groups, depth, outChannels / groups];
}

function convolved(
  engine: TensorFlowBackend,
  inputs: [Tensor4D, Tensor4D],
  { paddings, dilations = [1, 1] }: { paddings: number[]; dilations?: [number, number] },
): Tensor4D {
  const attributes = [
    type('T', DataType.FLOAT),
    ints('strides', [1, 1, 1, 1]),
    text('padding', 'EXPLICIT'),
    ints('explicit_paddings', [0, 0, ...paddings, 0, 0]),
    text('data_format', 'NHWC'),
    ints('dilations', [1, ...dilations, 1]),
  ];
  return engine.run({ name: 'Conv2D', attributes }, inputs)[0] as Tensor4D;
}
