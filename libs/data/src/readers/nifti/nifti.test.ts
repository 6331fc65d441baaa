import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { UserError } from '@ct-ensemble/core';
import { niftiFile, niftiTypes, type NiftiOptions } from './nifti.fixture.ts';
import { volumeName } from '../../layouts/listing.ts';
import { readNifti } from './nifti.ts';
import type { Scan } from '../../scan.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nifti-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(bytes: Uint8Array, name = 'ct.nii'): Promise<Scan> {
  await writeFile(join(folder, name), bytes);
  return readNifti({ path: join(folder, name) }, 'hu');
}
const valuesOf = ({ slices }: Scan) => slices.flatMap(({ data }) => [...data]);
const shapeOf = ({ slices }: Scan) => [slices.length, slices[0]!.height, slices[0]!.width];
const kindsOf = ({ findings }: Scan) => findings.map(({ kind }) => kind);
const small = (options: Partial<NiftiOptions> = {}) =>
  niftiFile({ dims: [3, 2, 2], values: Array.from({ length: 12 }, (_, i) => i), ...options });

test('which files are NIfTI by name', () => {
  expect(
    ['a.nii', 'a.NII.GZ', 'a.nii.gz', 'a.gz', 'a.nii.zip', 'nii'].map(
      (name) => volumeName(name) !== undefined,
    ),
  ).toEqual([true, true, true, false, false, false]);
});

describe('orientation', () => {
  // A volume of 2 × 3 × 4 voxels to the right, to the front and to the head; each value encodes its position.
  const sizes = [2, 3, 4];
  const spacing = [0.5, 0.75, 2];
  const valueAt = (place: readonly number[]) => 100 * place[0]! + 10 * place[1]! + place[2]!;
  const expected = [3, 2, 1, 0].flatMap((z) =>
    [2, 1, 0].flatMap((y) => [1, 0].map((x) => valueAt([x, y, z]))),
  );
  const permutations = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ];
  const orientations = permutations.flatMap((axes) =>
    Array.from({ length: 8 }, (_, bits) => ({
      axes,
      signs: [0, 1, 2].map((n) => (bits & (1 << n) ? -1 : 1)),
    })),
  );
  const names = ['RL', 'AP', 'SI'];
  const cases = orientations.map(({ axes, signs }) => {
    const dims = axes.map((axis) => sizes[axis]!);
    const values: number[] = [];
    for (let k = 0; k < dims[2]!; k++)
      for (let j = 0; j < dims[1]!; j++)
        for (let i = 0; i < dims[0]!; i++) {
          const place = [0, 0, 0];
          for (const [n, at] of [i, j, k].entries()) place[axes[n]!] = signs[n]! > 0 ? at : dims[n]! - 1 - at;
          values.push(valueAt(place));
        }
    const rotation = [0, 1, 2].map((row) => axes.map((axis, n) => (axis === row ? signs[n]! : 0)));
    const pixdim = axes.map((axis) => spacing[axis]!);
    const sform = rotation.map((row) => [...row.map((cosine, n) => cosine * pixdim[n]!), 7]);
    const name = axes.map((axis, n) => names[axis]![signs[n]! > 0 ? 0 : 1]).join('');
    return { name, dims, values, pixdim, rotation, sform };
  });
  const upright = { spacing: { slices: 2, rows: 0.75, columns: 0.5 }, findings: [] };

  test.each(cases)('$name by the sform', async ({ dims, values, sform }) => {
    const scan = await read(niftiFile({ dims, values, sform, pixdim: [9, 9, 9] }));
    expect(shapeOf(scan)).toEqual([4, 3, 2]);
    expect(valuesOf(scan)).toEqual(expected);
    expect(scan).toMatchObject(upright);
  });

  test.each(cases)(
    '$name by the qform, in NIfTI-1 and NIfTI-2',
    async ({ dims, values, pixdim, rotation }) => {
      const qform = quaternionOf(rotation);
      for (const version of [1, 2] as const) {
        const scan = await read(niftiFile({ dims, values, pixdim, qform, sform: null, version }));
        expect(valuesOf(scan)).toEqual(expected);
        expect(scan).toMatchObject(upright);
      }
    },
  );

  test('the sform goes before the qform, an unusable one does not', async () => {
    const qform = { quaternion: [0, 0, 1], qfac: 1 } as const; // to the left, to the back, to the head
    const both = await read(small({ qform }));
    expect([valuesOf(both), both.findings]).toEqual([Array.from({ length: 12 }, (_, i) => i), []]);
    const flat = [
      [-1, 0, -1, 0],
      [0, -1, 0, 0],
      [0, 0, 0, 0],
    ];
    const damaged = await read(small({ qform, sform: flat }));
    expect(valuesOf(damaged)).toEqual([6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5]);
    expect(kindsOf(damaged)).toEqual(['unusable-affine']);
  });

  test('without either: to the left, front and head, with a finding', async () => {
    const scan = await read(small({ sform: null, pixdim: [0.5, 0.75, 2] }));
    expect(valuesOf(scan)).toEqual([9, 10, 11, 6, 7, 8, 3, 4, 5, 0, 1, 2]);
    expect(scan.spacing).toEqual({ slices: 2, rows: 0.75, columns: 0.5 });
    expect(kindsOf(scan)).toEqual(['unknown-orientation']);
  });

  test('oblique axes: the nearest, with a finding above one degree', async () => {
    const tilted = (degrees: number) => {
      const [c, s] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
      return [
        [-1, 0, 0, 0],
        [0, -c, s, 0],
        [0, -s, -c, 0],
      ];
    };
    const slightly = await read(small({ sform: tilted(0.9) }));
    expect(slightly.findings).toEqual([]);
    const more = await read(small({ sform: tilted(20) }));
    expect(valuesOf(more)).toEqual(valuesOf(slightly));
    expect(more.spacing!.slices).toBeCloseTo(1, 6);
    expect(more.findings).toEqual([
      { kind: 'oblique-axes', message: expect.stringContaining('20.0 degrees') as string },
    ]);
    // Beyond 45 degrees another axis is the nearest: k now runs to the front, j to the feet.
    expect(valuesOf(await read(small({ sform: tilted(70) })))).toEqual([
      6, 7, 8, 0, 1, 2, 9, 10, 11, 3, 4, 5,
    ]);
  });

  test('spacing in metres, microns and an unknown unit; none where it cannot be', async () => {
    const diagonal = (d: number) => [
      [-d, 0, 0, 0],
      [0, -d, 0, 0],
      [0, 0, -d, 0],
    ];
    for (const [units, d] of [
      [1 + 8, 0.002],
      [2 + 16, 2],
      [3, 2000],
      [0, 2],
    ] as const)
      expect((await read(small({ units, sform: diagonal(d) }))).spacing!.rows).toBeCloseTo(2, 6);
    const scan = await read(small({ units: 2, sform: diagonal(2000) }));
    expect([scan.spacing, kindsOf(scan)]).toEqual([null, ['implausible-spacing']]);
  });
});

describe('values', () => {
  const range = {
    uint8: [0, 1, 254, 255],
    int8: [-128, -1, 0, 127],
    int16: [-32768, -1024, 0, 32767],
    uint16: [0, 1024, 32766, 32767],
    int32: [-32768, -1, 70, 32767],
    uint32: [0, 1, 70, 32767],
    int64: [-32768, -1, 70, 32767],
    uint64: [0, 1, 70, 32767],
    float32: [-1024.25, -0.5, 0.5, 1e3],
    float64: [-32768.4, -0.6, 2.5, 32767.4],
  };
  const formats = niftiTypes.flatMap((type) =>
    ([1, 2] as const).flatMap((version) =>
      [true, false].map((littleEndian) => ({ type, version, littleEndian })),
    ),
  );
  test.each(formats)('$type, NIfTI-$version, little endian $littleEndian', async (format) => {
    const values = range[format.type];
    const file = niftiFile({ dims: [2, 2, 1], values, ...format });
    const scan = await read(file);
    expect(scan).toMatchObject({ values: 'HU', patient: null, series: null, findings: [] });
    expect(valuesOf(scan)).toEqual(values.map((value) => Math.round(value) + 0));
    expect(scan.slices[0]!.data).toBeInstanceOf(Int16Array);
    expect(await read(gzipSync(file), 'ct.nii.gz')).toEqual(scan);
  });

  test('slope and intercept; a slope of zero stands for none', async () => {
    const scaled = { dims: [4, 1, 1], values: [0, 1, 2048, 65535], type: 'uint16' } as const;
    expect(valuesOf(await read(niftiFile({ ...scaled, slope: 0.5, intercept: -1024 })))).toEqual(
      [-1024, -1023, 0, 31744], // −1023.5 and 31743.5 are rounded upwards
    );
    expect(valuesOf(await read(niftiFile({ ...scaled, values: [0, 1, 2, 3], intercept: 99 })))).toEqual([
      0, 1, 2, 3,
    ]);
  });

  test('cut to 16 bits and NaN to −1024 HU, with findings', async () => {
    const values = [NaN, Infinity, -Infinity, 32767.5, -32768.6, 5];
    const scan = await read(niftiFile({ dims: [3, 2, 1], values, type: 'float32' }));
    expect(valuesOf(scan)).toEqual([-1024, 32767, -32768, 32767, -32768, 5]);
    expect(scan.findings.map(({ message }) => message)).toEqual([
      '4 of 6 voxels are outside 16 bits and were clamped to −32768 … 32767',
      '1 of 6 voxels are not numbers and were set to −1024 HU',
    ]);
  });

  test('an extension between header and data is passed over, sound or not', async () => {
    const extension = Buffer.alloc(20, 0xff); // a length of −1, and the data not aligned
    const values = [1, 2, 3, 4];
    const file = niftiFile({ dims: [2, 2, 1], values, type: 'float64', extension });
    expect(valuesOf(await read(file))).toEqual(values);
    expect(valuesOf(await read(gzipSync(file)))).toEqual(values); // gzipped without the name of it
  });

  test('a fourth axis of one volume', async () => {
    expect(shapeOf(await read(small({ dims: [3, 2, 2, 1] })))).toEqual([2, 2, 3]);
  });
});

describe('what cannot be read says which file, which field and what to do', () => {
  const changed = (change: (file: Buffer) => unknown, options: Partial<NiftiOptions> = {}) => {
    const file = small(options);
    change(file);
    return file;
  };
  test.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /truncated: it holds 0 bytes/],
    ['half a header', small().subarray(0, 200), /truncated: it holds 200 bytes, fewer than the 348/],
    ['half a header of NIfTI-2', small({ version: 2 }).subarray(0, 400), /truncated within the 540 bytes/],
    ['no data', small().subarray(0, 360), /truncated: it can hold at most 360 of the 376 bytes/],
    [
      'gzip of a file cut short',
      gzipSync(small().subarray(0, 360)),
      /truncated: it holds 360 of the 376 bytes/,
    ],
    ['gzip cut short', gzipSync(small()).subarray(0, -6), /truncated: its compressed stream has no end/],
    ['gzip with a wrong checksum', changedGzip(small()), /compressed stream is damaged/],
    ['text', Buffer.alloc(400, 'text'), /not a NIfTI file \(header, field sizeof_hdr/],
    ['Analyze', changed((file) => file.fill(0, 344, 348)), /field magic/],
    [
      'a pair of files',
      changed((file) => file.write('ni1', 344)),
      /field magic: the image is in another file/,
    ],
    ['an image', changed((file) => file.writeInt16LE(2, 40)), /field dim\[0\]: 2 axes/],
    [
      'a size of zero',
      changed((file) => file.writeInt16LE(0, 42)),
      /field dim\[1\]: 0 is not within 1 … 4096/,
    ],
    ['a negative size', changed((file) => file.writeInt16LE(-3, 46)), /field dim\[3\]: -3/],
    ['a huge size', changed((file) => file.writeInt16LE(5000, 44)), /field dim\[2\]: 5000/],
    ['two volumes', small({ dims: [3, 2, 1, 2] }), /field dim: 2 volumes in one file/],
    ['4 GB', small({ dims: [4096, 4096, 4000] }), /field dim: .* more than 4 GB/],
    [
      'more voxels than a CT has',
      small({ dims: [4096, 512, 513], type: 'uint8' }),
      /field dim: 4096 × 512 × 513 voxels; a CT volume may have at most 1073741824/,
    ],
    ['colour', changed((file) => file.writeInt16LE(128, 70)), /field datatype: 128 \(RGB\)/],
    [
      'data within the header',
      changed((file) => file.writeFloatLE(100, 108)),
      /field vox_offset: .* byte 100/,
    ],
    ['data at no byte', changed((file) => file.writeFloatLE(NaN, 108)), /field vox_offset: .* byte NaN/],
    ['intercept', small({ slope: 1, intercept: Infinity }), /field scl_inter: Infinity/],
  ])('%s', async (_, bytes, message) => {
    const error: unknown = await read(bytes, 'odd.nii').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).file).toBe(join(folder, 'odd.nii'));
    expect((error as UserError).remedy).toBeTruthy();
    expect((error as UserError).message).toMatch(message);
  });

  test.each<[string, Uint8Array, string]>([
    ['bytes behind the voxels', Buffer.concat([small(), Buffer.of(1)]), 'trailing-bytes'],
    [
      'bytes behind the gzip stream',
      Buffer.concat([gzipSync(small()), gzipSync(Buffer.of(1))]),
      'trailing-bytes',
    ],
    ['bitpix 0', changed((file) => file.writeInt16LE(0, 72)), 'header-contradiction'],
    ['bitpix 8', changed((file) => file.writeInt16LE(8, 72)), 'header-contradiction'],
    ['scl_slope NaN', small({ slope: NaN }), 'unusable-scaling'],
  ])('read as nibabel does, with a finding: %s', async (_, bytes, kind) => {
    const scan = await read(bytes);
    expect([valuesOf(scan), kindsOf(scan)]).toEqual([valuesOf(await read(small())), [kind]]);
  });

  test('no file, a folder', async () => {
    await expect(readNifti({ path: join(folder, 'none.nii') })).rejects.toThrow(
      'none.nii: there is no such file',
    );
    await expect(readNifti({ path: folder })).rejects.toThrow(`${folder}: is a folder, not a regular file`);
  });

  function changedGzip(bytes: Buffer) {
    const gz = gzipSync(bytes);
    gz[gz.length - 8]! ^= 1;
    return gz;
  }
});

describe('real volumes', () => {
  const shared =
    process.env['CT_ENSEMBLE_SHARED'] ?? fileURLToPath(new URL('../../../../../../shared', import.meta.url));
  const samples = join(shared, 'data/dicom-nifti-samples/nifti');
  const present = existsSync(samples);
  const reason = present ? '' : ' (skipped: no shared/data/dicom-nifti-samples/nifti beside the checkout)';
  const onSamples = present ? test : test.skip;

  // nibabel 5.4.2: as_closest_canonical(load(file)).get_fdata()[::-1, ::-1, ::-1].transpose(2, 1, 0), floor(v + 0.5),
  // int16 little endian; SHA-256.
  onSamples.each([
    {
      name: 'ts_chest_cropped_int16',
      shape: [112, 102, 122],
      spacing: 1.5,
      digest: 'fe369f6a7f104063241bc18fb5ed38181777ee3539c75ae6d93fac0477eab42d',
    },
    {
      name: 'ts_example_ct_int32',
      shape: [112, 101, 122],
      spacing: 3,
      digest: '1a27696508bc78fcf4235bda3aa4b8d3b322b87957763d05bb61161c75512334',
    },
    {
      name: 'ts_example_ct_sm_int16',
      shape: [30, 101, 122],
      spacing: 3,
      digest: 'c36b415cee46aace14a587e601c862e7ac075fe739c6d50148b392b253072228',
    },
    {
      name: 'ts_example_seg_uint8',
      shape: [30, 101, 122],
      spacing: 3,
      digest: '8bfb6c0578106cc8b3d3b4c725ba2b052c2dc7533e3c4aaa6cdea5595e183f23',
    },
  ])(`$name: the values and the order of nibabel${reason}`, async ({ name, shape, spacing, digest }) => {
    const scan = await readNifti(
      { path: join(samples, `${name}.nii.gz`) },
      name.includes('seg') ? 'hu' : undefined,
    );
    const hash = createHash('sha256');
    for (const { data } of scan.slices) hash.update(Buffer.from(data.buffer));
    expect([shapeOf(scan), hash.digest('hex'), scan.findings]).toEqual([shape, digest, []]);
    for (const mm of Object.values(scan.spacing!)) expect(mm).toBeCloseTo(spacing, 3);
  });

  onSamples(`the chest: air, lungs, and the abdomen last${reason}`, async () => {
    const { slices } = await readNifti({ path: join(samples, 'ts_chest_cropped_int16.nii.gz') });
    const share = (from: number, to: number, [low, high]: [number, number]) => {
      const values = slices.slice(from, to).flatMap(({ data }) => [...data]);
      return values.filter((v) => v >= low && v < high).length / values.length;
    };
    expect(share(0, 5, [-1064, -950])).toBeGreaterThan(0.03); // the room in front of the chest
    expect(share(0, 5, [-1064, -1020])).toBeLessThan(0.01);
    expect(share(10, 60, [-950, -500])).toBeGreaterThan(0.4);
    expect(share(102, 112, [-950, -500])).toBeLessThan(0.15);
    expect(share(102, 112, [-100, 150])).toBeGreaterThan(0.7);
  });
});

/** The quaternion (b, c, d; a ≥ 0) of a matrix of signed axes, and whether k is flipped before it. */
function quaternionOf(matrix: readonly (readonly number[])[]): NonNullable<NiftiOptions['qform']> {
  const [r, s, t] = matrix as [number[], number[], number[]];
  const determinant =
    r[0]! * (s[1]! * t[2]! - s[2]! * t[1]!) -
    r[1]! * (s[0]! * t[2]! - s[2]! * t[0]!) +
    r[2]! * (s[0]! * t[1]! - s[1]! * t[0]!);
  const qfac = determinant > 0 ? 1 : -1;
  const m = matrix.map((row) => [row[0]!, row[1]!, row[2]! * qfac]);
  const at = (row: number, column: number) => m[row]![column]!;
  const a = Math.sqrt(Math.max(0, 1 + at(0, 0) + at(1, 1) + at(2, 2))) / 2;
  if (a > 0)
    return {
      quaternion: [at(2, 1) - at(1, 2), at(0, 2) - at(2, 0), at(1, 0) - at(0, 1)].map(
        (v) => v / (4 * a),
      ) as never,
      qfac,
    };
  // Half a turn about an axis: m = 2 · axis · axisᵀ − 1.
  const squares = [0, 1, 2].map((n) => (1 + at(n, n)) / 2);
  const largest = squares.indexOf(Math.max(...squares));
  const axis = [0, 1, 2].map((n) =>
    n === largest ? Math.sqrt(squares[n]!) : at(largest, n) / 2 / Math.sqrt(squares[largest]!),
  );
  return { quaternion: axis as never, qfac };
}
