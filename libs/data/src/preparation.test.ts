import { join } from 'node:path';
import sharp from 'sharp';
import { flatPng, png, scanOf, temporaryFolder } from './dataset.fixture.ts';
import { contentKey, prepareVolume, readSliceFiles } from './preparation.ts';
import type { Volume } from './volume.ts';

const size = { height: 4, width: 6 };

/** The grey value of each slice of a volume whose slices are flat. */
function levels({ depth, height, width, data }: Volume) {
  return Array.from({ length: depth }, (_, z) => {
    const slice = data.subarray(z * height * width, (z + 1) * height * width);
    expect(new Set(slice).size).toBe(1);
    return slice[0];
  });
}

const flat = (values: readonly number[]) => Promise.all(values.map((value) => flatPng(value)));

test('the volume is [depth, height, width], its slices the nearest ones', async () => {
  const scan = await scanOf(await flat([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]));
  const { volume, findings } = await prepareVolume(scan, { depth: 4, ...size });
  expect([volume.depth, volume.height, volume.width, volume.data.length]).toEqual([4, 4, 6, 96]);
  expect(levels(volume)).toEqual([10, 30, 60, 80]); // floor(0, 2.5, 5, 7.5)
  expect(findings).toEqual([]);
});

test('a short scan repeats slices', async () => {
  const { volume } = await prepareVolume(await scanOf(await flat([10, 20, 30])), { depth: 8, ...size });
  expect(levels(volume)).toEqual([10, 10, 10, 20, 20, 20, 30, 30]);
});

test('rows run along the height, columns along the width', async () => {
  const values = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
  const scan = await scanOf([await png({ width: 4, height: 3, channels: 1, values })]);
  const { volume } = await prepareVolume(scan, { depth: 2, height: 3, width: 4 });
  expect([...volume.data]).toEqual([...values, ...values]);
});

test('undecodable slices are left out, each with a finding, and the depth is taken from the rest', async () => {
  const jpeg = await sharp(Buffer.alloc(64 * 64, 9), { raw: { width: 64, height: 64, channels: 1 } })
    .jpeg()
    .toBuffer();
  const contents = await flat([10, 20, 30, 40, 50, 60]);
  contents[0] = new Uint8Array(0);
  contents[2] = jpeg.subarray(0, jpeg.length - 40);
  contents[4] = Buffer.from('<html>');
  const scan = await scanOf(contents);
  const { volume, findings } = await prepareVolume(scan, { depth: 6, ...size });
  expect(levels(volume)).toEqual([20, 20, 40, 40, 60, 60]);
  expect(findings.map(({ kind, path }) => [kind, path])).toEqual(
    [0, 2, 4].map((k) => ['undecodable-slice', scan.slices[k]]),
  );
  expect(findings[0]?.message).toBe('left out: the file is empty');
});

test('several sizes, repeated bytes, 16 bits and absent files are told', async () => {
  const deep = sharp(new Uint16Array(64).fill(25700), { raw: { width: 8, height: 8, channels: 1 } });
  const scan = await scanOf([
    ...(await flat([10, 20, 10, 10])),
    await flatPng(50, 16),
    await deep.toColourspace('grey16').png().toBuffer(),
  ]);
  const absent = join(await temporaryFolder(), '6.png');
  const { volume, findings } = await prepareVolume(
    { ...scan, slices: [...scan.slices, absent] },
    { depth: 6, ...size },
  );
  expect(levels(volume)).toEqual([10, 20, 10, 10, 50, 100]);
  const folder = join(scan.slices[0]!, '..');
  expect(findings).toEqual([
    {
      kind: 'duplicate-slices',
      path: folder,
      message: 'same bytes as an earlier slice of the scan, kept: 2.png, 3.png',
    },
    { kind: 'undecodable-slice', path: absent, message: 'left out: cannot be read (ENOENT)' },
    { kind: 'mixed-sizes', path: folder, message: 'slices of several sizes: 5 of 8×8, 1 of 16×16' },
    { kind: 'converted-slices', path: scan.slices[5], message: '16 bits scaled to 8' },
  ]);
});

test('a scan without a decodable slice fails with its reason; a bad size is refused', async () => {
  const scan = await scanOf([Buffer.from('a'), Buffer.from('b')]);
  await expect(prepareVolume(scan, { depth: 2, ...size })).rejects.toThrow(
    /train\/covid\/ct_scan_0: none of its 2 slices can be decoded; the first: left out: Input buffer contains unsupported/,
  );
  await expect(prepareVolume(scan, { depth: 2.5, ...size })).rejects.toThrow(/field depth: 2\.5/);
});

test('the content key hangs on bytes, their order and borders, and on the preparation; not on names', async () => {
  const [a, b] = await flat([1, 2]);
  const key = async (contents: Uint8Array[], depth = 4) =>
    contentKey(await readSliceFiles((await scanOf(contents)).slices), { depth, ...size });
  expect(await key([a!, b!])).toBe(await key([a!, b!]));
  const joined = Buffer.concat([a!, b!]);
  const keys = [
    await key([a!, b!]),
    await key([b!, a!]),
    await key([a!]),
    await key([joined]),
    await key([joined, new Uint8Array(0)]),
    await key([a!, b!], 5),
    contentKey([{ bytes: null, problem: 'cannot be read' }], { depth: 4, ...size }),
    contentKey([{ bytes: new Uint8Array(0), problem: null }], { depth: 4, ...size }),
  ];
  expect(new Set(keys).size).toBe(keys.length);
});
