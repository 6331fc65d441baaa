// A window that slides over an image: the attributes that TensorFlow's convolutions and pools share.
import tf, { type backend_util, type Tensor4D } from '@tensorflow/tfjs';
import type { Attribute } from '../native/types.ts';
import { ints, text } from './attributes.ts';

/** Zeros (or −∞, for a maximum) around an NHWC image, as tf.pad and `explicit_paddings` take them. */
export type Paddings = [[0, 0], [number, number], [number, number], [0, 0]];

/**
 * What lies around the image so that the window fits exactly `outHeight` × `outWidth` times, as TensorFlow counts:
 * tfjs may round the number of windows up, or leave a remainder that no window reaches.
 */
export function paddingsOf(info: backend_util.Conv2DInfo): Paddings {
  const { top, left } = info.padInfo;
  const bottom = (info.outHeight - 1) * info.strideHeight + info.effectiveFilterHeight - info.inHeight - top;
  const right = (info.outWidth - 1) * info.strideWidth + info.effectiveFilterWidth - info.inWidth - left;
  return [[0, 0], [top, Math.max(bottom, 0)], [left, Math.max(right, 0)], [0, 0]]; // prettier-ignore
}

/** The same window over an image that brings its padding along. */
export function padded(
  info: backend_util.Conv2DInfo,
  [, [top, bottom], [left, right]]: Paddings,
): backend_util.Conv2DInfo {
  return {
    ...info,
    inHeight: info.inHeight + top + bottom,
    inWidth: info.inWidth + left + right,
    padInfo: { top: 0, bottom: 0, left: 0, right: 0, type: 'VALID' },
  };
}

/** The image of `info` out of one that was padded. */
export function withoutPadding(
  x: Tensor4D,
  [, [top], [left]]: Paddings,
  { inHeight, inWidth }: backend_util.Conv2DInfo,
): Tensor4D {
  return tf.slice(x, [0, top, left, 0], [-1, inHeight, inWidth, -1]);
}

/** tfjs does not tell gradients how it rounded the number of windows; dy, NHWC, does. */
export function asRounded(info: backend_util.Conv2DInfo, { shape }: Tensor4D): backend_util.Conv2DInfo {
  return { ...info, outHeight: shape[1], outWidth: shape[2] };
}

/** Strides, padding and layout (NHWC) of an op that knows the padding EXPLICIT. */
export function windowAttributes(info: backend_util.Conv2DInfo): Attribute[] {
  const paddings = paddingsOf(info).flat();
  const explicit = isExplicit(info);
  const padding = explicit ? 'EXPLICIT' : paddings.some((size) => size > 0) ? 'SAME' : 'VALID';
  return [
    ints('strides', [1, info.strideHeight, info.strideWidth, 1]),
    text('padding', padding),
    ...(explicit ? [ints('explicit_paddings', paddings)] : []),
    text('data_format', 'NHWC'),
  ];
}

/** The padding is neither none nor what TensorFlow calls SAME. */
export function isExplicit(info: backend_util.Conv2DInfo): boolean {
  const around = (size: number, stride: number, window: number) => {
    const total = Math.max((Math.ceil(size / stride) - 1) * stride + window - size, 0);
    return [total >> 1, total - (total >> 1)];
  };
  const same = [
    ...[0, 0],
    ...around(info.inHeight, info.strideHeight, info.effectiveFilterHeight),
    ...around(info.inWidth, info.strideWidth, info.effectiveFilterWidth),
    ...[0, 0],
  ];
  const paddings = paddingsOf(info).flat();
  return paddings.some((size) => size > 0) && paddings.some((size, i) => size !== same[i]);
}
