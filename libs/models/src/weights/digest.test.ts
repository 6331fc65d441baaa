// Digests in the metadata of safetensors files, against an independent computation and against damage.
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestOfTensors, withDigests } from './digest.ts';
import { readSafetensors, type StoredTensor, writeSafetensors } from './safetensors.ts';

const tensors = new Map<string, StoredTensor>([
  ['b', { dtype: 'F32', shape: [2], data: Float32Array.of(1, -2) }],
  ['a', { dtype: 'I64', shape: [], data: BigInt64Array.of(7n) }],
]);

let file: string;
beforeAll(async () => {
  file = join(await mkdtemp(join(tmpdir(), 'ct-ensemble-digest-')), 'x.safetensors');
});
afterAll(() => rm(join(file, '..'), { recursive: true }));

test('the digest is SHA-256 over names, types, shapes and bytes, whatever the order of the tensors', () => {
  const program = `
import hashlib, struct
content = b'["a","I64",[]]\\n' + struct.pack('<q', 7) + b'["b","F32",[2]]\\n' + struct.pack('<ff', 1, -2)
print(hashlib.sha256(content).hexdigest())`;
  const expected = execFileSync('python3', ['-c', program], { encoding: 'utf8' }).trim();
  expect(digestOfTensors(tensors)).toBe(expected);
  expect(digestOfTensors(new Map([...tensors].reverse()))).toBe(expected);
});

test('a flipped bit is noticed at whatever byte it lies: tensors, metadata, digests', async () => {
  const metadata = withDigests({ state: '{"epochs":12}' }, digestOfTensors(tensors));
  await writeSafetensors(file, tensors, metadata);
  expect((await readSafetensors(file)).metadata).toEqual(metadata);
  const whole = await readFile(file);
  const end = whole.length - whole.subarray(0, 8).readUIntLE(0, 6) - 8;
  const text = whole.toString('latin1');
  const places = {
    sha256_tensors: whole.length - end + 3,
    sha256_metadata: text.indexOf('12}'),
    'sha256_metadata ': text.indexOf('sha256_metadata') + 20,
  };
  for (const [field, at] of Object.entries(places)) {
    const damaged = Buffer.from(whole);
    damaged[at]! ^= 1;
    await writeFile(file, damaged);
    await expect(readSafetensors(file, { remedy: 'train anew' })).rejects.toThrow(
      new RegExp(`x\\.safetensors: .*${field.trim()} is \\w{64}, expected \\w{64} → train anew`),
    );
  }
});
