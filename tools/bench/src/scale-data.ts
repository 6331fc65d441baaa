// Data sets and runs for bench:scale: many scans of a few voxels, and run folders whose members have every state. Nothing is
// trained; the files are those that index, preparation, plan, status and evaluation read.
import { mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { randomStream } from '@ct-ensemble/core';
import {
  coordinatorFile,
  doneFile,
  failedFile,
  memberFolder,
  parseRecipe,
  type Plan,
  probabilitiesFile,
  progressFile,
  type Recipe,
} from '@ct-ensemble/ensemble';

const CLASSES = ['covid', 'non-covid'] as const;

/** Depth, height and width of the scans and of their volumes: 900 bits of fingerprint, so that no two scans are nearly equal. */
const SIZE = { depth: 4, height: 16, width: 16 };

/** Scans in a folder of the data set. */
const IN_FOLDER = 1000;

/** Patients have this many scans each. */
const OF_PATIENT = 2;

/** Split of a scan: of five patients three are for training, one for validation, one for test. */
const splitOf = (i: number) =>
  (['train', 'train', 'train', 'val', 'test'] as const)[Math.floor(i / OF_PATIENT) % 5]!;

const classOf = (i: number) => CLASSES[Math.floor(i / (5 * OF_PATIENT)) % CLASSES.length]!;

/** A recipe with so many members, which differ in their seeds. */
export const scaleRecipe = (members: number): Recipe =>
  parseRecipe(recipeText(members, { isWithSplit: false }), 'scale');

export const recipeText = (members: number, { isWithSplit }: { isWithSplit: boolean }) => `
name: scale
description: Members that differ in their seeds; for measurements of files, not for training.
classes: [${CLASSES.join(', ')}]
volume: { depth: ${SIZE.depth}, height: ${SIZE.height}, width: ${SIZE.width} }
${isWithSplit ? 'split: { val: 0.2, test: 0.2, seed: 1 }' : ''}
members:
  architectures: [densenet_small]
  seeds: [${Array.from({ length: members }, (_, i) => i + 1).join(', ')}]
training:
  epochs: 20
  batchSize: 4
  loss: { name: cross-entropy }
  optimizer: { name: adam }
  learningRate: [{ from: 0, rate: 0.001 }]
  augmentation: none
submissions:
  - { name: ensemble, members: [densenet_small] }
`;

export interface MadeScans {
  root: string;
  /** Table with the columns scan, label, patient and split. */
  table: string;
  /** The same without splits. */
  unsplit: string;
}

/** Uncompressed NIfTI files of equal size with random voxels, 1000 in a folder, and the tables that name them. */
export function makeVolumeScans(root: string, count: number): MadeScans {
  const rows: string[] = [];
  for (let i = 0; i < count; i++) {
    const name = join(`part-${Math.floor(i / IN_FOLDER)}`, `scan-${i}.nii`);
    if (i % IN_FOLDER === 0) mkdirSync(join(root, dirname(name)), { recursive: true });
    writeFileSync(join(root, name), niftiOf(i));
    rows.push(`${name},${classOf(i)},patient-${Math.floor(i / OF_PATIENT)},${splitOf(i)}`);
  }
  const write = (file: string, header: string, lines: readonly string[]) => {
    writeFileSync(join(root, file), [header, ...lines, ''].join('\n'));
    return join(root, file);
  };
  return {
    root,
    table: write('scans.csv', 'scan,label,patient,split', rows),
    unsplit: write(
      'unsplit.csv',
      'scan,label,patient',
      rows.map((row) => row.slice(0, row.lastIndexOf(','))),
    ),
  };
}

/** A NIfTI-1 file: the header of 348 bytes, four empty bytes, the voxels as 16-bit integers. */
function niftiOf(i: number): Uint8Array {
  const { depth, height, width } = SIZE;
  const bytes = Buffer.alloc(352 + 2 * depth * height * width);
  bytes.writeInt32LE(348, 0);
  for (const [k, size] of [3, width, height, depth, 1, 1, 1, 1].entries())
    bytes.writeInt16LE(size, 40 + 2 * k);
  bytes.writeInt16LE(4, 70); // data type: int16
  bytes.writeInt16LE(16, 72);
  for (let k = 0; k < 4; k++) bytes.writeFloatLE(1, 76 + 4 * k); // sizes of a voxel
  bytes.writeFloatLE(352, 108);
  bytes.writeFloatLE(1, 112);
  bytes.write('n+1\0', 344, 'latin1');
  const random = randomStream({ seed: 1, purpose: 'scale', sample: String(i) });
  for (let k = 0; k < depth * height * width; k++)
    bytes.writeInt16LE(Math.floor(random.uniform() * 1400) - 1000, 352 + 2 * k);
  return bytes;
}

/** Slices of a scan of `makeSliceScans`. */
const SLICES = 5;

/**
 * Folders of five files with the names of slices in `split/class/scan`. Their bytes are no images: the index decodes none.
 */
export function makeSliceScans(root: string, count: number): string {
  const content = Buffer.alloc(400, 1);
  for (let i = 0; i < count; i++) {
    const folder = join(root, splitOf(i), classOf(i), `ct_scan_${i}`);
    mkdirSync(folder, { recursive: true });
    for (let k = 0; k < SLICES; k++) {
      content.writeInt32LE(SLICES * i + k, 0);
      // The files of real slices have different sizes.
      writeFileSync(join(folder, `${k}.jpg`), content.subarray(0, 4 + ((7 * i + 13 * k) % 397)));
    }
  }
  return root;
}

/** The states in which `makeMembers` leaves the members, in turn. */
const STATES = [
  'done',
  'training',
  'done',
  'failed',
  'done',
  'waiting',
  'done',
  'retrying',
  'done',
  'stopped',
];

/** Finished epochs of members that have begun. */
const EPOCHS = 20;

/** Writes the files of the members of a plan: half of them are done, the others in all other states. */
export function makeMembers(run: string, plan: Plan) {
  const time = new Date().toISOString();
  const common = { pid: process.pid, host: hostname(), startedAt: time, updatedAt: time };
  const write = (file: string, value: unknown) => writeFileSync(file, `${JSON.stringify(value)}\n`);
  for (const [i, { name }] of plan.members.entries()) {
    const state = STATES[i % STATES.length]!;
    mkdirSync(join(memberFolder(run, name), 'probabilities'), { recursive: true });
    if (state === 'waiting') continue;
    const finished = state === 'done' ? EPOCHS : EPOCHS / 2;
    const lines = Array.from({ length: finished }, (_, epoch) =>
      JSON.stringify({
        epoch,
        learningRate: 0.001,
        loss: 1 / (epoch + 1),
        macroF1: 0.9,
        seconds: 60,
        waited: 0,
      }),
    );
    writeFileSync(join(memberFolder(run, name), 'history.jsonl'), `${lines.join('\n')}\n`);
    write(progressFile(run, name), {
      version: 1,
      state: state === 'retrying' ? 'waiting-to-retry' : state,
      attempt: 1,
      device: 'cpu:1',
      isolation: 'process',
      ...common,
      epoch: finished,
      epochs: EPOCHS,
      step: 5,
      stepsPerEpoch: 10,
      loss: 0.5,
      macroF1: 0.9,
      best: 0.9,
      secondsPerStep: 1,
      secondsLeft: state === 'done' ? 0 : 600,
      samplesPerSecond: 4,
      peakMemoryBytes: 1e9,
      accumulate: 1,
      message: null,
    });
    if (state === 'failed') write(failedFile(run, name), { reason: 'a scan cannot be read', kind: 'user' });
    if (state === 'done') makeDone(run, name);
  }
  write(coordinatorFile(run), {
    version: 1,
    ...common,
    state: 'stopped',
    isolation: 'process',
    devices: plan.devices.map((name) => ({ name, members: [] })),
    waiting: [],
  });
}

function makeDone(run: string, member: string) {
  const weights = 'checkpoints/best.safetensors';
  writeFileSync(
    doneFile(run, member),
    JSON.stringify({ epochs: EPOCHS, bestEpoch: 3, macroF1: null, weights, sha256: '0'.repeat(64) }),
  );
}

/** Makes every member done, with random probabilities for its scans. */
export function makeProbabilities(
  run: string,
  plan: Plan,
  scans: readonly { key: string; name: string; label: number | null; split: string }[],
) {
  for (const [m, { name }] of plan.members.entries()) {
    mkdirSync(join(memberFolder(run, name), 'probabilities'), { recursive: true });
    makeDone(run, name);
    const random = randomStream({ seed: 1, purpose: 'scale', sample: `member ${m}` });
    for (const split of ['val', 'test'] as const) {
      const rows = scans
        .filter((scan) => scan.split === split)
        .map(({ key, name, label }) => {
          const p = random.uniform();
          return `    ${JSON.stringify({ key, name, label, probabilities: [p, 1 - p] })}`;
        });
      writeFileSync(
        probabilitiesFile(run, name, split),
        `{\n  "split": "${split}",\n  "classes": ${JSON.stringify(plan.dataset.classes)},\n  "scans": [\n${rows.join(',\n')}\n  ],\n  "failed": []\n}\n`,
      );
    }
  }
}
