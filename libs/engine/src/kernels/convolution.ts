// Convolutions and their gradients with every padding of tfjs. NCHW images are transposed, because TensorFlow's CPU
// kernels support only NHWC.
import tf, {
  type backend_util,
  type KernelConfig,
  type KernelFunc,
  type Tensor,
  type Tensor3D,
  type Tensor4D,
  type TensorInfo,
} from '@tensorflow/tfjs';
import type { TensorFlowBackend } from '../backend/backend.ts';
import { DataType } from '../native/types.ts';
import { ints, type } from './attributes.ts';
import { hasFewChannels, phaseInputGradient } from './phase-gradient.ts';
import { asRounded, isExplicit, padded, paddingsOf, windowAttributes, withoutPadding } from './window.ts';

type Shape4D = [number, number, number, number];

interface Attributes {
  strides: number | [number, number];
  pad: Parameters<typeof backend_util.computeConv2DInfo>[4];
  dilations?: number | [number, number];
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
  dataFormat?: 'NHWC' | 'NCHW';
}

interface FusedAttributes extends Attributes {
  activation?: string;
  leakyreluAlpha?: number;
}

/** Ordinary or depthwise convolutions of TensorFlow. */
type Family = 'Conv2D' | 'DepthwiseConv2dNative';
type Info = backend_util.Conv2DInfo;

const toNHWC = (x: TensorInfo) => tf.transpose(x as Tensor4D, [0, 2, 3, 1]);
const toNCHW = (x: Tensor) => tf.transpose(x, [0, 3, 1, 2]);

/** Sizes, strides and padding of a convolution, from tfjs's attributes and the shapes of image and filter. */
export function convolutionInfo(
  attrs: unknown,
  family: Family,
  shapes: { x: number[]; filter: number[] },
): Info {
  const { strides, pad, dilations, dimRoundingMode, dataFormat } = attrs as Attributes;
  return tf.backend_util.computeConv2DInfo(
    shapes.x as Shape4D,
    shapes.filter as Shape4D,
    strides,
    dilations ?? 1,
    pad,
    dimRoundingMode,
    family === 'DepthwiseConv2dNative',
    dataFormat === 'NCHW' ? 'channelsFirst' : 'channelsLast',
  );
}

interface Operation {
  name: string;
  info: Info;
  inputs: readonly TensorInfo[];
}

/** Runs one of TensorFlow's convolution ops or gradient ops on NHWC images. */
export function convolve(engine: TensorFlowBackend, { name, info, inputs }: Operation): Tensor {
  if (isExplicit(info) && !engine.engine.isUsingGpuDevice())
    return convolvePadded(engine, { name, info, inputs });
  const attributes = [
    type('T', DataType.FLOAT),
    ...windowAttributes(info),
    ints('dilations', [1, info.dilationHeight, info.dilationWidth, 1]),
  ];
  return engine.run({ name, attributes }, inputs)[0]!;
}

/** oneDNN's convolutions lack explicit padding, so the image is padded beforehand and its gradient is cropped. */
function convolvePadded(engine: TensorFlowBackend, { name, info, inputs }: Operation): Tensor {
  const paddings = paddingsOf(info);
  const image = padded(info, paddings);
  if (!name.endsWith('Input')) {
    const [x, ...others] = inputs;
    return convolve(engine, { name, info: image, inputs: [tf.pad(x as Tensor4D, paddings), ...others] });
  }
  const size = tf.tensor1d([image.batchSize, image.inHeight, image.inWidth, image.inChannels], 'int32');
  const gradient = convolve(engine, { name, info: image, inputs: [size, ...inputs.slice(1)] });
  return withoutPadding(gradient as Tensor4D, paddings, info);
}

const forward =
  (family: Family): KernelFunc =>
  ({ inputs, attrs, backend }) =>
    tf.tidy(() => {
      const { x, filter } = inputs as Record<'x' | 'filter', TensorInfo>;
      const info = convolutionInfo(attrs, family, { x: x.shape, filter: filter.shape });
      const first = info.dataFormat === 'channelsFirst';
      const operands = [first ? toNHWC(x) : x, filter];
      const isDilated = family === 'DepthwiseConv2dNative' && info.dilationHeight * info.dilationWidth > 1;
      const y = isDilated
        ? depthwiseAsGrouped(backend as TensorFlowBackend, { info, inputs: operands })
        : convolve(backend as TensorFlowBackend, { name: family, info, inputs: operands });
      return first ? toNCHW(y) : y;
    });

/**
 * A depthwise convolution as a grouped one with a group for each channel. TensorFlow's depthwise convolution has dilations only
 * with oneDNN, which is not used on GPUs and on some CPUs; its grouped convolution has them everywhere.
 */
function depthwiseAsGrouped(engine: TensorFlowBackend, { info, inputs }: Omit<Operation, 'name'>): Tensor {
  const [x, filter] = inputs as [Tensor4D, Tensor4D];
  const [height, width, channels, multiplier] = filter.shape;
  const grouped = tf.reshape(filter, [height, width, 1, channels * multiplier]);
  return convolve(engine, { name: 'Conv2D', info, inputs: [x, grouped] });
}

const inputGradient =
  (family: Family): KernelFunc =>
  ({ inputs, attrs, backend }) =>
    tf.tidy(() => {
      const { dy, filter } = inputs as Record<'dy' | 'filter', TensorInfo>;
      const { inputShape } = attrs as unknown as { inputShape: Shape4D };
      const info = convolutionInfo(attrs, family, { x: inputShape, filter: filter.shape });
      const first = info.dataFormat === 'channelsFirst';
      const [n, height, width, channels] = [info.batchSize, info.inHeight, info.inWidth, info.inChannels];
      const size = tf.tensor1d([n, height, width, channels], 'int32');
      const gradient = cropped(first ? toNHWC(dy) : (dy as Tensor4D), info);
      const engine = backend as TensorFlowBackend;
      const operation = {
        name: `${family}BackpropInput`,
        info: asRounded(info, gradient),
        inputs: [size, filter, gradient],
      };
      const byPhase = family === 'Conv2D' && hasFewChannels(info) && !engine.engine.isUsingGpuDevice();
      const dx = byPhase
        ? phaseInputGradient(gradient, filter as Tensor4D, operation.info)
        : convolve(engine, operation);
      return first ? toNCHW(dx) : dx;
    });

/**
 * tf.conv2dTranspose accepts images larger than 'same' padding implies; like tfjs, only their first rows and columns
 * are used.
 */
function cropped(dy: Tensor4D, { outHeight, outWidth, padInfo }: Info): Tensor4D {
  const [n, height, width, channels] = dy.shape;
  if (padInfo.type !== 'SAME' || (height <= outHeight && width <= outWidth)) return dy;
  return tf.slice(dy, 0, [n, outHeight, outWidth, channels]);
}

const filterGradient =
  (family: Family): KernelFunc =>
  ({ inputs, attrs, backend }) =>
    tf.tidy(() => {
      const { x, dy } = inputs as Record<'x' | 'dy', TensorInfo>;
      const { filterShape } = attrs as unknown as { filterShape: Shape4D };
      const info = convolutionInfo(attrs, family, { x: x.shape, filter: filterShape });
      const first = info.dataFormat === 'channelsFirst';
      const [image, gradient] = first ? [toNHWC(x), toNHWC(dy)] : [x as Tensor4D, dy as Tensor4D];
      const engine = backend as TensorFlowBackend;
      if (isPointwise(info) && family === 'Conv2D' && !engine.engine.isUsingGpuDevice())
        return pointwiseFilterGradient(image, gradient);
      const operands = [image, tf.tensor1d(filterShape, 'int32'), gradient];
      const operation = {
        name: `${family}BackpropFilter`,
        info: asRounded(info, gradient),
        inputs: operands,
      };
      return convolve(engine, operation);
    });

/** Whether it is a 1×1 convolution without stride and padding. */
function isPointwise(info: Info): boolean {
  const { filterHeight, filterWidth, strideHeight, strideWidth, padInfo } = info;
  const padding = padInfo.top + padInfo.bottom + padInfo.left + padInfo.right;
  return filterHeight * filterWidth * strideHeight * strideWidth === 1 && padding === 0;
}

/**
 * The filter gradient of a 1×1 convolution, computed as a matrix product. On a CPU this takes a quarter less time than
 * oneDNN's convolution for the shapes of DenseNet.
 */
function pointwiseFilterGradient(x: Tensor4D, dy: Tensor4D): Tensor4D {
  const [channels, filters] = [x.shape[3], dy.shape[3]];
  const product = tf.matMul(tf.reshape(x, [-1, channels]), tf.reshape(dy, [-1, filters]), true, false);
  return tf.reshape(product, [1, 1, channels, filters]);
}

/** tfjs's fused inference op: convolution, bias and activation. */
const fused =
  (family: Family): KernelFunc =>
  (args) =>
    tf.tidy(() => {
      const { bias, preluActivationWeights } = args.inputs as Record<string, Tensor | undefined>;
      const { activation, leakyreluAlpha, dataFormat } = args.attrs as unknown as FusedAttributes;
      const perChannel = (weights: Tensor) =>
        dataFormat === 'NCHW' && weights.rank === 1 ? tf.reshape(weights, [-1, 1, 1]) : weights;
      const y = forward(family)(args) as Tensor;
      const biased = bias ? tf.add(y, perChannel(bias)) : y;
      switch (activation ?? 'linear') {
        case 'linear':
          return biased;
        case 'relu':
          return tf.relu(biased);
        case 'relu6':
          return tf.relu6(biased);
        case 'elu':
          return tf.elu(biased);
        case 'sigmoid':
          return tf.sigmoid(biased);
        case 'leakyrelu':
          return tf.leakyRelu(biased, leakyreluAlpha);
        case 'prelu':
          return tf.prelu(biased, perChannel(preluActivationWeights!) as Tensor3D);
        default:
          throw new Error(`a fused convolution has no activation ${activation}`);
      }
    });

const kernel = (kernelName: string, kernelFunc: KernelFunc): KernelConfig => ({
  kernelName,
  backendName: 'tensorflow',
  kernelFunc,
});

export const convolutionKernels: KernelConfig[] = [
  kernel('Conv2D', forward('Conv2D')),
  kernel('Conv2DBackpropInput', inputGradient('Conv2D')),
  kernel('Conv2DBackpropFilter', filterGradient('Conv2D')),
  kernel('DepthwiseConv2dNative', forward('DepthwiseConv2dNative')),
  kernel('DepthwiseConv2dNativeBackpropInput', inputGradient('DepthwiseConv2dNative')),
  kernel('DepthwiseConv2dNativeBackpropFilter', filterGradient('DepthwiseConv2dNative')),
  kernel('FusedConv2D', fused('Conv2D')),
  kernel('FusedDepthwiseConv2D', fused('DepthwiseConv2dNative')),
];
