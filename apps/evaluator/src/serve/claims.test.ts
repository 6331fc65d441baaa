// What headers claim against the limit of a scan.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireModestClaims } from './claims.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-claims-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A file of JPEG 2000 in explicit little endian with this header and no image data worth the name. */
function dicom({ rows, columns, frames }: { rows: number; columns: number; frames: number }): Buffer {
  const element = ([group, tag]: [number, number], vr: string, value: Buffer) => {
    const head = Buffer.alloc(8);
    head.writeUInt16LE(group, 0);
    head.writeUInt16LE(tag, 2);
    head.write(vr, 4, 'latin1');
    head.writeUInt16LE(value.length, 6);
    return Buffer.concat([head, value]);
  };
  const text = (value: string) => Buffer.from(value.length % 2 ? `${value}\0` : value, 'latin1');
  const word = (value: number) => Buffer.of(value & 255, value >> 8);
  return Buffer.concat([
    Buffer.alloc(128),
    Buffer.from('DICM'),
    element([2, 0x10], 'UI', text('1.2.840.10008.1.2.4.90')),
    element([0x28, 0x08], 'IS', text(`${frames} `.slice(0, 2 * Math.ceil(`${frames}`.length / 2)))),
    element([0x28, 0x10], 'US', word(rows)),
    element([0x28, 0x11], 'US', word(columns)),
  ]);
}

const write = (name: string, bytes: Buffer) => writeFile(join(folder, name), bytes);

test('the voxels of all DICOM files count together, 2 bytes each, whatever their names are', async () => {
  await write('a.dcm', dicom({ rows: 100, columns: 50, frames: 3 })); // 30 000 bytes
  await write('b', dicom({ rows: 50, columns: 50, frames: 1 })); // 5000 bytes
  await write('c.txt', Buffer.from('no scan'));
  await expect(requireModestClaims(folder, 35_000)).resolves.toBeUndefined();
  await expect(requireModestClaims(folder, 34_999)).rejects.toMatchObject({
    message: expect.stringMatching(/the headers of the DICOM files claim more than/),
    status: 413,
  });
});

test('a volume counts by itself', async () => {
  const header = (size: string) => Buffer.from(`DimSize = ${size}\nElementType = MET_SHORT\n`);
  await write('a.mha', header('100 100 1'));
  await write('b.mha', header('100 100 1'));
  await expect(requireModestClaims(folder, 20_000)).resolves.toBeUndefined();
  await expect(requireModestClaims(folder, 19_999)).rejects.toThrow(/the header of a volume claims more/);
});
