// Maximum and average pooling and their gradients with every padding of tfjs. Pixels outside the image count as −∞ in a
// maximum and are left out of an average.
import tf, {
  type backend_util,
  type KernelConfig,
  type KernelFunc,
  type Tensor4D,
  type TensorInfo,
} from '@tensorflow/tfjs';
import type { TensorFlowBackend } from '../backend/backend.ts';
import type { Attribute } from '../native/types.ts';
import { ints, type } from './attributes.ts';
import { asRounded, padded, type Paddings, paddingsOf, windowAttributes, withoutPadding } from './window.ts';

type Shape4D = [number, number, number, number];
type Info = backend_util.Conv2DInfo;

/** Sizes, strides and padding of a pooling window, from tfjs's attributes and the image's shape. */
export function infoOf(attrs: unknown, shape: number[]): Info {
  const { filterSize, strides, pad, dimRoundingMode } = attrs as {
    filterSize: number | [number, number];
    strides: number | [number, number];
    pad: Parameters<typeof backend_util.computePool2DInfo>[4];
    dimRoundingMode?: 'floor' | 'round' | 'ceil';
  };
  return tf.backend_util.computePool2DInfo(shape as Shape4D, filterSize, strides, 1, pad, dimRoundingMode);
}

function attributesOf(engine: TensorFlowBackend, x: TensorInfo, info: Info): Attribute[] {
  return [
    type('T', engine.engine.typeOf(engine.idOf(x))),
    ints('ksize', [1, info.filterHeight, info.filterWidth, 1]),
    ...windowAttributes(info),
  ];
}

/** tfjs treats pooling with a 1×1 window that keeps the size as the identity, whatever its strides and padding. */
const isIdentity = ({ filterHeight, filterWidth, inHeight, inWidth, outHeight, outWidth }: Info) =>
  filterHeight === 1 && filterWidth === 1 && inHeight === outHeight && inWidth === outWidth;

const isZero = (paddings: Paddings) => paddings.flat().every((size) => size === 0);

/** Padding to add before pooling: XLA rejects EXPLICIT padding of MaxPool, and AvgPool has no such option. */
function explicitPaddings(info: Info): Paddings | undefined {
  const paddings = paddingsOf(info);
  return info.padInfo.type === 'SAME' || isZero(paddings) ? undefined : paddings;
}

const lowest = (x: TensorInfo) => (x.dtype === 'int32' ? -(2 ** 31) : -Infinity);

const maxPool: KernelFunc = ({ inputs, attrs, backend }) =>
  tf.tidy(() => {
    const engine = backend as TensorFlowBackend;
    const x = inputs['x'] as Tensor4D;
    const info = infoOf(attrs, x.shape);
    if (isIdentity(info)) return tf.clone(x);
    const paddings = explicitPaddings(info);
    const attributes = attributesOf(engine, x, paddings ? padded(info, paddings) : info);
    return engine.run({ name: 'MaxPool', attributes }, [paddings ? tf.pad(x, paddings, lowest(x)) : x])[0]!;
  });

const maxPoolGradient: KernelFunc = ({ inputs, attrs, backend }) =>
  tf.tidy(() => {
    const engine = backend as TensorFlowBackend;
    const { dy, input, output } = inputs as Record<'dy' | 'input' | 'output', Tensor4D>;
    const info = asRounded(infoOf(attrs, input.shape), dy);
    if (isIdentity(info)) return tf.clone(dy);
    const paddings = explicitPaddings(info);
    const attributes = attributesOf(engine, input, paddings ? padded(info, paddings) : info);
    const image = paddings ? tf.pad(input, paddings, lowest(input)) : input;
    const dx = engine.run({ name: 'MaxPoolGrad', attributes }, [image, output, dy])[0] as Tensor4D;
    return paddings ? withoutPadding(dx, paddings, info) : dx;
  });

const avgPool: KernelFunc = ({ inputs, attrs, backend }) =>
  tf.tidy(() => {
    const engine = backend as TensorFlowBackend;
    const x = inputs['x'] as Tensor4D;
    const info = infoOf(attrs, x.shape);
    if (isIdentity(info)) return tf.clone(x);
    const paddings = explicitPaddings(info);
    const attributes = attributesOf(engine, x, paddings ? padded(info, paddings) : info);
    const mean = engine.run({ name: 'AvgPool', attributes }, [paddings ? tf.pad(x, paddings) : x])[0]!;
    return paddings ? tf.mul(mean, overlap(info)) : mean;
  });

/**
 * For every window: whole area / area within the image, [1, outHeight, outWidth, 1]; 0 for a window outside the
 * image.
 */
export function overlap(info: Info): Tensor4D {
  const { top, left } = info.padInfo;
  const { filterHeight, filterWidth, outHeight, outWidth } = info;
  const covered = (start: number, window: number, size: number) =>
    Math.max(Math.min(start + window, size) - Math.max(start, 0), 0);
  const factors = Float32Array.from({ length: outHeight * outWidth }, (_, i) => {
    const y = Math.floor(i / outWidth) * info.strideHeight - top;
    const x = (i % outWidth) * info.strideWidth - left;
    const area = covered(y, filterHeight, info.inHeight) * covered(x, filterWidth, info.inWidth);
    return area === 0 ? 0 : (filterHeight * filterWidth) / area;
  });
  return tf.tensor4d(factors, [1, outHeight, outWidth, 1]);
}

/**
 * With explicit padding it follows tfjs: every pixel of a window gets dy / (whole area of the window), although the
 * forward pass averages only over the part within the image. For an average that counts the padded zeros, as PyTorch's
 * default does, pad first and pool with 'valid': forward pass and gradient then agree.
 */
const avgPoolGradient: KernelFunc = ({ inputs, attrs, backend }) =>
  tf.tidy(() => {
    const engine = backend as TensorFlowBackend;
    const { dy, input } = inputs as Record<'dy' | 'input', Tensor4D>;
    const info = asRounded(infoOf(attrs, input.shape), dy);
    if (isIdentity(info)) return tf.clone(dy);
    const paddings = explicitPaddings(info);
    const image = paddings ? padded(info, paddings) : info;
    const size = tf.tensor1d([dy.shape[0], image.inHeight, image.inWidth, dy.shape[3]], 'int32');
    const attributes = attributesOf(engine, dy, image);
    const dx = engine.run({ name: 'AvgPoolGrad', attributes }, [size, dy])[0] as Tensor4D;
    return paddings ? withoutPadding(dx, paddings, info) : dx;
  });

const kernel = (kernelName: string, kernelFunc: KernelFunc): KernelConfig => ({
  kernelName,
  backendName: 'tensorflow',
  kernelFunc,
});

export const poolingKernels: KernelConfig[] = [
  kernel('MaxPool', maxPool),
  kernel('MaxPoolGrad', maxPoolGradient),
  kernel('AvgPool', avgPool),
  kernel('AvgPoolGrad', avgPoolGradient),
];
