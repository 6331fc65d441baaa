// A scan as the networks take it in, before scaling and augmentation.

/** A prepared scan: 8-bit grey, C order [depth, height, width]. */
export interface Volume {
  depth: number;
  height: number;
  width: number;
  /** depth · height · width grey values, 0 … 255. */
  data: Uint8Array;
}

/**
 * Nearest resampling of an axis: element i of the result is floor(i · from / to), the source index of element i.
 * The rule of PyTorch's `F.interpolate(mode='nearest')` in exact arithmetic; PyTorch rounds from / to to float32,
 * which changes nothing where `to` is a power of two. A shorter axis repeats its elements.
 */
export function nearestIndices(from: number, to: number): number[] {
  return Array.from({ length: to }, (_, i) => Math.floor((i * from) / to));
}
