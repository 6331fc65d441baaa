// For tests: trains a run of three small members, two of which see the same volumes and one masked ones.
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const trainer = fileURLToPath(new URL('../../../trainer/dist/main.js', import.meta.url));
const phantoms = fileURLToPath(new URL('../../../../tools/phantoms/dist/main.js', import.meta.url));

const recipe = `
name: tiny
task: detection
description: Three small members for the test.
volume: { depth: 8, height: 16, width: 16, mask: { dilate: 5 } }
members:
  - { name: one, architecture: densenet_small, seed: 1 }
  - { name: two, architecture: densenet_small, seed: 2 }
  - { name: masked, architecture: densenet_small, seed: 3, mask: { dilate: 3 } }
training:
  epochs: 1
  batchSize: 3
  loss: { name: focal, gamma: 1.5 }
  optimizer: { name: adam }
  learningRate: [{ from: 0, rate: 0.001 }]
  augmentation: none
submissions:
  - { name: both, members: [one, two] }
  - { name: all, members: [one, two, masked] }
`;

/** Trains in `folder`: the data set is `data`, the run `run`, the store of volumes `volumes`. */
export async function trainTiny(folder: string) {
  await writeFile(join(folder, 'tiny.yaml'), recipe);
  const node = (...args: string[]) => {
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  };
  node(phantoms, '--out', 'data', '--scans', '12', '--size', '32');
  const options = '--data data --recipe tiny.yaml --run run --devices cpu:1,cpu:1 --volumes volumes';
  node(trainer, 'all-members', ...options.split(' '));
}
