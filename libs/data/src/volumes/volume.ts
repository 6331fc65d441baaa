// A prepared scan, as it is stored and as batches are made of it, before scaling and augmentation.

/** A prepared scan: 8-bit grey, C order [depth, height, width]. */
export interface Volume {
  depth: number;
  height: number;
  width: number;
  /** depth · height · width grey values, 0 … 255. */
  data: Uint8Array;
}

/**
 * Nearest resampling of an axis of `from` elements to `to` elements: [to], element i is the source index
 * floor(i · from / to). If `from` is smaller than `to`, elements are repeated. This is the rule of PyTorch's
 * `F.interpolate(mode='nearest')` in exact arithmetic; PyTorch rounds from / to to float32, which changes no index if
 * `to` is a power of two.
 */
export function nearestIndices(from: number, to: number): number[] {
  return Array.from({ length: to }, (_, i) => Math.floor((i * from) / to));
}
