import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '../testing/dataset.fixture.ts';
import { decodeNpy, encodeNpy } from './npy.ts';

const volume = { depth: 2, height: 3, width: 4, data: Uint8Array.from({ length: 24 }, (_, i) => i * 10) };

test('the bytes of numpy.save', () => {
  // numpy.save of np.arange(0, 240, 10, dtype='uint8').reshape(2, 3, 4), NumPy 2: 128 bytes of header, then the data.
  const text = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 4), }";
  const expected = Buffer.concat([
    Buffer.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 0x76, 0),
    Buffer.from(text.padEnd(117) + '\n'),
    volume.data,
  ]);
  expect(expected.length).toBe(128 + 24);
  expect(Buffer.concat(encodeNpy(volume)).equals(expected)).toBe(true);
  expect(decodeNpy(expected, 'x.npy')).toEqual(volume);
});

test('the header of a large volume stays aligned to 64 bytes', () => {
  const [header] = encodeNpy({ depth: 100000, height: 100000, width: 100000, data: new Uint8Array(0) });
  expect(header.length % 64).toBe(0);
  expect(header.at(-1)).toBe(10);
});

const python = (script: string, ...args: string[]) =>
  execFileSync(process.env['CT_ENSEMBLE_PYTHON'] ?? 'python3', ['-c', script, ...args], {
    encoding: 'utf8',
    stdio: 'pipe',
  });
const hasNumpy = (() => {
  try {
    return python('import numpy; print(1)').trim() === '1';
  } catch {
    return false;
  }
})();

(hasNumpy ? test : test.skip)('numpy.load reads it (needs python3 with numpy)', async () => {
  const file = join(await temporaryFolder(), 'volume.npy');
  await writeFile(file, Buffer.concat(encodeNpy(volume)));
  const script =
    'import numpy, sys; a = numpy.load(sys.argv[1]); print(a.dtype, a.shape, a[1, 2, 3], a[0, 1, 0], a.flags.c_contiguous)';
  expect(python(script, file).trim()).toBe('uint8 (2, 3, 4) 230 40 True');
});

test.each([
  [
    'cut short',
    (bytes: Buffer) => bytes.subarray(0, -1),
    /x\.npy: is damaged: 23 grey values instead of 2 × 3 × 4/,
  ],
  ['cut in the header', (bytes: Buffer) => bytes.subarray(0, 60), /x\.npy: is not a volume/],
  ['empty', () => Buffer.alloc(0), /is not a volume/],
  [
    'of another type',
    (bytes: Buffer) => Buffer.from(bytes.toString('latin1').replace('|u1', '<f4'), 'latin1'),
    /is not a volume/,
  ],
])('a file %s is refused by name', (_, damage, message) => {
  expect(() => decodeNpy(damage(Buffer.concat(encodeNpy(volume))), 'x.npy')).toThrow(message);
});
