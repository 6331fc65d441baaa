// Half precision: every half number is kept, and all others become the nearest one, ties the even one.
import { asFloat16, asFloat32, type StoredTensorOf } from './safetensors.ts';

const f32 = (values: Iterable<number>): StoredTensorOf<'F32'> => {
  const data = Float32Array.from(values);
  return { dtype: 'F32', shape: [data.length], data };
};
const bitsOf = (...values: number[]) => [...asFloat16(f32(values)).data];

test('every finite half number keeps its bits', () => {
  const bits = Uint16Array.from({ length: 1 << 16 }, (_, i) => i).filter((i) => (i & 0x7c00) !== 0x7c00);
  const wide = asFloat32({ dtype: 'F16', shape: [bits.length], data: bits })!;
  expect(Buffer.compare(Buffer.from(asFloat16(wide).data.buffer), Buffer.from(bits.buffer))).toBe(0);
});

test('the middle of two neighbours becomes the even one; a little more or less becomes the nearer one', () => {
  const wide = asFloat32({
    dtype: 'F16',
    shape: [0x7c00],
    data: Uint16Array.from({ length: 0x7c00 }, (_, i) => i),
  })!;
  for (let i = 0; i + 1 < 0x7c00; i += 97) {
    const [low, high] = [wide.data[i]!, wide.data[i + 1]!];
    const middle = (low + high) / 2; // exact in float32
    expect(bitsOf(middle, -middle)).toEqual([i + (i % 2), 0x8000 + i + (i % 2)]);
    const off = (high - low) / 1024;
    expect(bitsOf(middle - off, middle + off)).toEqual([i, i + 1]);
  }
});

test('beyond the greatest half number is an error; infinity and NaN stay what they are', () => {
  expect(bitsOf(65519)).toEqual([0x7bff]);
  expect(() => asFloat16(f32([65520]))).toThrow('the value 65520 is beyond half precision');
  expect(() => asFloat16(f32([-1e9]))).toThrow(RangeError);
  expect(bitsOf(Infinity, -Infinity)).toEqual([0x7c00, 0xfc00]);
  expect(bitsOf(NaN)).toEqual([0x7e00]);
});
