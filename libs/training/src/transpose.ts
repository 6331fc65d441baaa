// Transposes values in plain JavaScript, where there is no TensorFlow.
import type { Untransposed } from './checkpoint.ts';

/** Edge of the square blocks, whose values fit the processor's cache. */
const BLOCK = 16;

/** Memory for the values before; kept, because new memory costs more than the transposing. */
let scratch = new Float32Array(0);

/** Brings the values into the order of the transposed tensor: its axis k is the axis `axes[k]` of `shape`. At least two axes. */
export function transposeInPlace({ data, shape, axes }: Untransposed) {
  if (scratch.length < data.length) scratch = new Float32Array(data.length);
  const source = scratch;
  source.set(data);
  /** For each axis of `shape`: how far apart its neighbours are in the transposed tensor. */
  const strides = Array.from(shape, () => 0);
  axes.reduceRight((stride, axis) => ((strides[axis] = stride), stride * shape[axis]!), 1);
  const [rows, columns] = shape.slice(-2) as [number, number];
  const [rowStride, columnStride] = strides.slice(-2) as [number, number];
  const outer = shape.slice(0, -2);
  for (let matrix = 0; matrix < data.length / (rows * columns); matrix++) {
    let [base, rest] = [0, matrix];
    for (let axis = outer.length - 1; axis >= 0; axis--) {
      base += (rest % outer[axis]!) * strides[axis]!;
      rest = Math.floor(rest / outer[axis]!);
    }
    const from = matrix * rows * columns;
    for (let top = 0; top < rows; top += BLOCK)
      for (let left = 0; left < columns; left += BLOCK) {
        const [bottom, right] = [Math.min(top + BLOCK, rows), Math.min(left + BLOCK, columns)];
        for (let column = left; column < right; column++) {
          let to = base + column * columnStride + top * rowStride;
          for (let row = top; row < bottom; row++, to += rowStride)
            data[to] = source[from + row * columns + column]!;
        }
      }
  }
}
