// Padding and op attributes that convolutions and pooling share.
import tf, { type backend_util, type Tensor4D } from '@tensorflow/tfjs';
import type { Attribute } from '../native/types.ts';
import { ints, text } from './attributes.ts';

/**
 * Widths of the padding of an NHWC image, [before, after] for each axis, in the form of tf.pad and
 * `explicit_paddings`.
 */
export type Paddings = [[0, 0], [number, number], [number, number], [0, 0]];

/**
 * The padding with which TensorFlow computes exactly `outHeight` × `outWidth` windows. It may differ from tfjs's own
 * padding, because tfjs may round the number of windows up or leave pixels that no window reaches.
 */
export function paddingsOf(info: backend_util.Conv2DInfo): Paddings {
  const { top, left } = info.padInfo;
  const bottom = (info.outHeight - 1) * info.strideHeight + info.effectiveFilterHeight - info.inHeight - top;
  const right = (info.outWidth - 1) * info.strideWidth + info.effectiveFilterWidth - info.inWidth - left;
  return [[0, 0], [top, Math.max(bottom, 0)], [left, Math.max(right, 0)], [0, 0]]; // prettier-ignore
}

/** The window parameters for an image that has already been padded. */
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

/** Cuts the padding off an NHWC image. */
export function withoutPadding(
  x: Tensor4D,
  [, [top], [left]]: Paddings,
  { inHeight, inWidth }: backend_util.Conv2DInfo,
): Tensor4D {
  return tf.slice(x, [0, top, left, 0], [-1, inHeight, inWidth, -1]);
}

/** Takes the number of windows from dy (NHWC), since tfjs does not pass its rounding mode to gradients. */
export function asRounded(info: backend_util.Conv2DInfo, { shape }: Tensor4D): backend_util.Conv2DInfo {
  return { ...info, outHeight: shape[1], outWidth: shape[2] };
}

/** Attributes strides, padding and data_format (NHWC) of an op that supports EXPLICIT padding. */
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

/** Whether the padding is neither zero nor TensorFlow's SAME. */
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
