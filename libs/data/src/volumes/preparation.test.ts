import { join } from 'node:path';
import sharp from 'sharp';
import { flatPng, png, scanOf, temporaryFolder } from '../testing/dataset.fixture.ts';
import { contentKey, settingsOf } from './content-key.ts';
import { openScan } from './opened-scan.ts';
import type { Preparation } from './preparation-settings.ts';
import { prepareOpened, prepareVolume } from './preparation.ts';
import { readSliceFiles } from '../readers/slice-source.ts';
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

test('several sizes, repeated bytes, 16 bits and absent files are reported', async () => {
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
    contentKey(await readSliceFiles((await scanOf(contents)).slices), {
      format: 'images',
      settings: settingsOf({ depth, ...size }),
    });
  expect(await key([a!, b!])).toBe(await key([a!, b!]));
  const joined = Buffer.concat([a!, b!]);
  const keys = [
    await key([a!, b!]),
    await key([b!, a!]),
    await key([a!]),
    await key([joined]),
    await key([joined, new Uint8Array(0)]),
    await key([a!, b!], 5),
    contentKey([{ bytes: null, problem: 'cannot be read' }], {
      format: 'images',
      settings: settingsOf({ depth: 4, ...size }),
    }),
    contentKey([{ bytes: new Uint8Array(0), problem: null }], {
      format: 'images',
      settings: settingsOf({ depth: 4, ...size }),
    }),
  ];
  expect(new Set(keys).size).toBe(keys.length);
});

/** A slice of 48 × 48: air around a body in which there may be a lung of 24 × 16. */
function chest({ lung, tissue = 170 }: { lung: boolean; tissue?: number }) {
  const values = new Uint8Array(48 * 48).fill(20);
  for (let y = 6; y < 42; y++) values.fill(tissue, y * 48 + 6, y * 48 + 42);
  if (lung) for (let y = 12; y < 36; y++) values.fill(60, y * 48 + 16, y * 48 + 32);
  return png({ width: 48, height: 48, channels: 1, values });
}
const prepared = async (contents: readonly Uint8Array[], preparation: Preparation) => {
  const scan = await scanOf(contents);
  return prepareOpened(scan, await openScan(scan), { preparation });
};

test('slices without lung are left out; if too few show lung all are kept; both with a finding', async () => {
  const [without, ...withLung] = await Promise.all([
    chest({ lung: false }),
    ...[150, 160, 170, 180].map((tissue) => chest({ lung: true, tissue })),
  ]);
  const preparation = { depth: 4, height: 48, width: 48, slices: 'lung' } as const;
  const enough = await prepared([without!, ...withLung, without!], preparation);
  expect(enough).toMatchObject({ decodable: 6, dropped: [0, 5], sources: [1, 2, 3, 4] });
  expect(enough.findings.map(({ message }) => message)).toEqual([
    '4 of 6 slices show lung; the others are left out',
  ]);
  const few = await prepared([without!, withLung[0]!, without!, without!], preparation);
  expect(few).toMatchObject({ decodable: 4, dropped: [], sources: [0, 1, 2, 3] });
  expect(few.findings.map(({ kind }) => kind)).toEqual(['too-few-lung-slices']);
});

test('masked and equalised slices, in two views', async () => {
  const contents = await Promise.all([150, 160, 170, 180].map((tissue) => chest({ lung: true, tissue })));
  const preparation: Preparation = {
    depth: [4, 2],
    height: 48,
    width: 48,
    mask: { dilate: 3 },
    equalize: true,
  };
  const { volume, sources } = await prepared(contents, preparation);
  expect([volume!.depth, sources]).toEqual([6, [0, 1, 2, 3, 0, 2]]);
  const first = volume!.data.subarray(0, 48 * 48);
  expect(volume!.data.subarray(4 * 48 * 48, 5 * 48 * 48)).toEqual(first);
  // black around; the lung, 24 × 16, and one pixel of tissue around it, equalised: the darkest value that is there
  // becomes 0, the lightest 255
  const lung = Math.round((24 * 16 * 255) / (26 * 18));
  expect(new Set(first)).toEqual(new Set([0, lung, 255]));
  expect(first.filter((value) => value === lung)).toHaveLength(24 * 16);
  expect(first.filter((value) => value === 255)).toHaveLength(26 * 18 - 24 * 16);

  const own = await prepared(contents, { ...preparation, depth: [2, 1], secondView: 'own' });
  expect(own.sources).toEqual([0, 1, 2]);
});

test('networks decide in the place of thresholds, and are part of the key', async () => {
  const contents = await Promise.all(
    Array.from({ length: 40 }, (_, k) => chest({ lung: false, tissue: 150 + k })),
  );
  const scan = await scanOf(contents);
  const filter = {
    id: 'every other',
    keep: async (slices: readonly unknown[]) => slices.map((_, i) => i % 2 === 0),
  };
  const segmenter = {
    id: 'upper half',
    edge: 2,
    masks: async (slices: readonly unknown[]) => slices.map(() => Uint8Array.of(1, 1, 0, 0)),
  };
  const preparation: Preparation = { depth: 20, height: 4, width: 4, slices: 'lung', mask: { dilate: 1 } };
  const networks = { filter, segmenter };
  const opened = await openScan(scan);
  const { volume, sources } = await prepareOpened(scan, opened, { preparation, networks });
  expect(sources).toEqual(Array.from({ length: 20 }, (_, i) => 2 * i));
  const [slice] = [volume!.data.subarray(0, 16)];
  expect(slice.subarray(0, 8).every((value) => value > 0)).toBe(true);
  expect(slice.subarray(8).every((value) => value === 0)).toBe(true);
  const keys = [{}, { filter }, { segmenter }, networks].map((some) =>
    contentKey(opened.files, { format: 'images', settings: settingsOf(preparation, some) }),
  );
  expect(new Set(keys).size).toBe(4);
});

test('what the values are is part of the content key only if it is given', async () => {
  const settings = settingsOf({ depth: 4, ...size });
  expect(JSON.stringify(settings)).not.toContain('values');
  expect(settingsOf({ depth: 4, ...size, values: 'hu' })).toEqual({ ...settings, values: 'hu' });
  const files = await readSliceFiles((await scanOf([await flatPng(10)])).slices);
  const key = (values?: string) =>
    contentKey(files, {
      format: 'images',
      settings: settingsOf({ depth: 4, ...size, ...(values !== undefined && { values }) }),
    });
  expect(new Set([key(), key('grey'), key('window:-1000,400')]).size).toBe(3);
});

test('a further draw takes other slices under a content key of its own; draw 0 is the plain volume', async () => {
  const plain = { depth: 4, ...size };
  const drawn = (index: number, of: number): Preparation => ({ ...plain, draw: { index, of } });
  const scan = await scanOf(await flat([10, 20, 30, 40, 50, 60, 70, 80]));
  const volume = async (preparation: Preparation) => levels((await prepareVolume(scan, preparation)).volume);
  expect(await volume(plain)).toEqual([10, 30, 50, 70]);
  expect(await volume(drawn(0, 2))).toEqual([10, 30, 50, 70]);
  expect(await volume(drawn(1, 2))).toEqual([20, 40, 60, 80]); // floor(1, 3, 5, 7)
  const settings = (preparation: Preparation) => JSON.stringify(settingsOf(preparation));
  expect(settings(plain)).not.toContain('draw');
  expect(settings(drawn(0, 2))).toBe(settings(plain));
  expect(settings(drawn(2, 4))).toBe(settings(drawn(1, 2)));
  const { files } = await openScan(scan);
  const keys = [plain, drawn(1, 2), drawn(1, 3), drawn(2, 3)].map((preparation) =>
    contentKey(files, { format: 'images', settings: settingsOf(preparation) }),
  );
  expect(new Set(keys).size).toBe(4);
  await expect(volume(drawn(2, 2))).rejects.toThrow(/field draw: there is no draw 2 of 2/);
  await expect(volume({ ...drawn(1, 2), sampling: 'lung-area' })).rejects.toThrow(
    /field draw: the sampling lung-area has one draw of slices only/,
  );
});
