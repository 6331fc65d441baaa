// For tests: small synthetic data for the commands filter and segmenter, and the arguments that train on them.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makePhantoms } from '@ct-ensemble/phantoms';

/** Writes slices.csv with the slices of four phantom scans in data/, and three pairs of NIfTI volumes in pairs/. */
export async function writeSliceData(folder: string) {
  const none = { covid: 0, 'non-covid': 0 };
  const counts = { train: { covid: 2, 'non-covid': 2 }, val: none, test: none };
  await makePhantoms({ folder: join(folder, 'data'), seed: 3, counts, size: 48 });
  await writeTable(folder);
  for (const name of ['a', 'b', 'c']) await writePair(folder, name);
}

export const small = ['--size', '32', '--epochs', '3', '--batch', '4', '--device', 'cpu:1'];

export const filterArgs = [
  'filter',
  ...['--data', 'data', '--labels', 'slices.csv', '--file-columns', 'where,slice'],
  ...['--architecture', 'resnext_small', ...small],
];

export const segmenterArgs = ['segmenter', '--data', 'pairs', '--architecture', 'att_unet_small', ...small];

/** A table in which the first slice of every scan is non-lung, the second edge, the others lung. */
async function writeTable(folder: string) {
  const lines = ['where,slice,class'];
  for (const kind of ['covid', 'non-covid'])
    for (const scan of await readdir(join(folder, 'data', 'train', kind)))
      for (const slice of await readdir(join(folder, 'data', 'train', kind, scan))) {
        const k = Number.parseInt(slice);
        lines.push(`train/${kind}/${scan},${slice},${k === 0 ? 'non-lung' : k === 1 ? 'edge' : 'lung'}`);
      }
  await writeFile(join(folder, 'slices.csv'), lines.join('\n'));
}

/** Three slices of 24 × 24 with a square lung, as NIfTI. */
async function writePair(folder: string, name: string) {
  const isLung = (i: number) => i % 24 > 8 && i % 24 < 16 && Math.floor(i / 24) % 24 > 6 && i % 576 < 430;
  const voxels = Array.from({ length: 3 * 576 }, (_, i) => isLung(i));
  for (const [below, values] of [
    ['images', voxels.map((lung) => (lung ? -800 : 40))],
    ['masks', voxels.map(Number)],
  ] as const) {
    // prettier-ignore
    const file = Buffer.alloc(352 + 2 * values.length);
    file.writeInt32LE(348, 0);
    [3, 24, 24, 3, 1, 1, 1, 1].forEach((dim, i) => file.writeInt16LE(dim, 40 + 2 * i));
    file.writeInt16LE(4, 70);
    file.writeInt16LE(16, 72);
    for (let i = 0; i < 4; i++) file.writeFloatLE(1, 76 + 4 * i);
    file.writeFloatLE(352, 108);
    file.write('n+1\0', 344, 'latin1');
    values.forEach((value, i) => file.writeInt16LE(value, 352 + 2 * i));
    await mkdir(join(folder, 'pairs', below), { recursive: true });
    await writeFile(join(folder, 'pairs', below, `${name}.nii`), file);
  }
}
