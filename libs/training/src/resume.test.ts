// Checkpoints that are lost, exchanged, damaged, of an earlier version; the files beside them; more epochs.
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Engine, openEngine } from '@ct-ensemble/engine';
import { readSafetensors, writeSafetensors } from '@ct-ensemble/models';
import { bestCheckpoint, lastCheckpoint, nextBestCheckpoint, type RunState } from './checkpoint.ts';
import { historyFile } from './history.ts';
import { requireBest } from './resume.ts';
import type { TrainOptions } from './train.ts';
import { train, training } from './testing/member.fixture.ts';

const files = ['last.safetensors', 'best.safetensors', 'last.json', 'best.json'].map((name) =>
  join('checkpoints', name),
);
/** The first of equal scores is the best: epoch 2 of 4, which counts from 0. */
const scores = [0.5, 0.25, 0.75, 0.75, 0.25, 1];
const scored = (from = 0) => {
  let epoch = from;
  return () => scores[epoch++]!;
};

let engine: Engine;
let folder: string;
let finished: Awaited<ReturnType<typeof train>>;
beforeAll(async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-resume-'));
  finished = await train({ folder: join(folder, 'finished'), score: scored() });
});
afterAll(async () => {
  engine.close();
  await rm(folder, { recursive: true });
});

let copies = 0;
/** A copy of the finished member's folder. */
async function copy() {
  const made = join(folder, `copy-${copies++}`);
  await cp(finished.folder, made, { recursive: true });
  return made;
}
/** Starts the member again; it has all its epochs. */
async function restart(at: string, options: Partial<TrainOptions> = {}) {
  const warnings: string[] = [];
  const result = await train({ folder: at, onWarning: (warning) => warnings.push(warning), ...options });
  return { ...result, warnings };
}
const contentOf = (at: string, names = files) => Promise.all(names.map((name) => readFile(join(at, name))));
async function flipBit(file: string, at: (bytes: Buffer) => number) {
  const bytes = await readFile(file);
  bytes[at(bytes)]! ^= 1;
  await writeFile(file, bytes);
}
const lastByte = (bytes: Buffer) => bytes.length - 1;

test('equal runs write equal bytes; the durations are in history.jsonl alone', async () => {
  const again = await train({ folder: join(folder, 'again'), score: scored() });
  expect(await contentOf(again.folder)).toEqual(await contentOf(finished.folder));
  expect(finished.state.best).toMatchObject({ epoch: 2, macroF1: 0.75 });
  expect(existsSync(nextBestCheckpoint(again.folder))).toBe(false);
});

test('the metadata of both checkpoints names member, architecture and seed', async () => {
  for (const file of [lastCheckpoint(finished.folder), bestCheckpoint(finished.folder)]) {
    const { metadata } = await readSafetensors(file);
    expect(metadata).toMatchObject({ member: 'tiny', architecture: 'tiny', seed: '5' });
    expect((JSON.parse(metadata['state']!) as RunState).best!.sha256).toMatch(/^\w{64}$/);
  }
});

describe('a finished training is not taken as such if', () => {
  const refused = async (at: string, message: RegExp, options: Partial<TrainOptions> = {}) => {
    const anew = /→ delete the folder \S+checkpoints to train anew from the first epoch/;
    await expect(restart(at, options)).rejects.toThrow(new RegExp(message.source + '.*' + anew.source));
  };

  test('the best checkpoint is lost', async () => {
    const at = await copy();
    await rm(bestCheckpoint(at));
    await refused(at, /best\.safetensors: is missing; it was the best checkpoint, of epoch 3/);
  });
  test('the best checkpoint is of another epoch', async () => {
    const at = await copy();
    const two = await train({ training: { ...training, epochs: 2 }, score: scored() });
    await cp(bestCheckpoint(two.folder), bestCheckpoint(at));
    await refused(at, /best\.safetensors: is not the best checkpoint: epoch is 1, expected 3/);
  });
  test('the best checkpoint is of another member, or both are', async () => {
    const at = await copy();
    const two = await train({ member: 'two', score: scored() });
    await cp(bestCheckpoint(two.folder), bestCheckpoint(at));
    await refused(at, /best\.safetensors: belongs to another training: member is two, expected tiny/);
    await refused(two.folder, /last\.safetensors: belongs to another training: member is two, expected tiny/);
    await refused(await copy(), /last\.safetensors: .*: seed is 5, expected 6/, { seed: 6 });
    await refused(await copy(), /last\.safetensors: .*: scans is \w{64}, expected \w{64}/, { val: [] });
  });
  test('the best checkpoint is of the same member and epoch, but of other values', async () => {
    const at = await copy();
    const other = await train({ training: { ...training, batchSize: 5 }, score: scored() });
    await cp(bestCheckpoint(other.folder), bestCheckpoint(at));
    await refused(at, /best\.safetensors: is not the best checkpoint: the digest of its tensors is \w{64}, expected \w{64}/);
  }); // prettier-ignore
  test.each(['best', 'last'])('a bit of %s is flipped, in its tensors or in its state', async (which) => {
    for (const [field, place] of [
      ['sha256_tensors', lastByte],
      ['sha256_metadata', (bytes: Buffer) => bytes.indexOf('learningRate') + 16],
    ] as const) {
      const at = await copy();
      await flipBit(join(at, 'checkpoints', `${which}.safetensors`), place);
      await refused(at, new RegExp(`${which}\\.safetensors: .*${field} is \\w{64}, expected \\w{64}`));
    }
  });
  test('a checkpoint is truncated', async () => {
    for (const file of [lastCheckpoint, bestCheckpoint]) {
      const at = await copy();
      await writeFile(file(at), (await readFile(file(at))).subarray(0, -7));
      await refused(at, /(last|best)\.safetensors: is not a valid safetensors file: .*truncated/);
    }
  });
  test('it has more epochs than the recipe', async () => {
    await expect(restart(await copy(), { training: { ...training, epochs: 3 } })).rejects.toThrow(
      /last\.safetensors: has 4 finished epochs, but the training has 3 → set epochs to 4 or more/,
    );
  });
});

test('if only the last checkpoint is lost, the training begins anew, and says so', async () => {
  const at = await copy();
  await rm(lastCheckpoint(at));
  const { warnings } = await restart(at, { score: scored() });
  expect(warnings).toEqual([expect.stringMatching(/last\.safetensors is missing: training begins anew/)]);
  expect(await contentOf(at)).toEqual(await contentOf(finished.folder));
});

test('what a kill between two renames left is completed at the next start', async () => {
  const whole = await contentOf(finished.folder, [...files, 'history.jsonl']);
  // As after a kill before the files that follow from the state were written.
  const at = await copy();
  await writeFile(join(at, 'checkpoints', 'last.json'), '{}');
  await rm(join(at, 'checkpoints', 'best.json'));
  const lines = (await readFile(historyFile(at), 'utf8')).split('\n');
  await writeFile(historyFile(at), lines.slice(0, 3).join('\n'));
  const { state } = await restart(at);
  expect(await contentOf(at)).toEqual(whole.slice(0, 4));
  const history = (await readFile(historyFile(at), 'utf8')).split('\n');
  expect(history.slice(0, 3)).toEqual(lines.slice(0, 3));
  expect(JSON.parse(history[3]!)).toEqual({ ...state.history[3], seconds: null, waited: null });

  // Before the new best checkpoint took the place of the one before, but after the last checkpoint named it.
  const two = await train({ training: { ...training, epochs: 2 }, score: scored() });
  const between = await copy();
  await rename(bestCheckpoint(between), nextBestCheckpoint(between));
  await cp(bestCheckpoint(two.folder), bestCheckpoint(between));
  await restart(between);
  expect(await contentOf(between, [...files, 'history.jsonl'])).toEqual(whole);
  expect(existsSync(nextBestCheckpoint(between))).toBe(false);

  // Before the last checkpoint named it: the epoch is trained again.
  await cp(bestCheckpoint(finished.folder), nextBestCheckpoint(two.folder));
  const { state: resumed } = await restart(two.folder, { score: scored(2) });
  expect(resumed.best!.epoch).toBe(2);
  expect(existsSync(nextBestCheckpoint(two.folder))).toBe(false);
  expect(await contentOf(two.folder)).toEqual(whole.slice(0, 4));
});

test('more epochs continue a finished training to the bytes of one that had them from the start', async () => {
  const options = { training: { ...training, epochs: 6 } };
  const straight = await train({ ...options, score: scored() });
  const at = await copy();
  const extended = await restart(at, { ...options, score: scored(4) });
  expect(extended.progress.filter(({ kind }) => kind === 'epoch').map(({ epoch }) => epoch)).toEqual([5, 6]);
  expect(extended.state.best!.epoch).toBe(5);
  expect(await contentOf(at)).toEqual(await contentOf(straight.folder));
  expect(extended.weights).toEqual(straight.weights);

  // The best epoch stays the best: its file is not written again.
  const five = { training: { ...training, epochs: 5 } };
  const kept = await copy();
  const { state } = await restart(kept, { ...five, score: scored(4) });
  expect(state.best!.epoch).toBe(2);
  expect(await contentOf(kept)).toEqual(await contentOf((await train({ ...five, score: scored() })).folder));
});

describe('checkpoints of earlier versions, without digests', () => {
  /** What earlier versions wrote: no digests, no identity, durations in the state. */
  async function older() {
    const at = await copy();
    for (const file of [lastCheckpoint(at), bestCheckpoint(at)]) {
      const { tensors, metadata } = await readSafetensors(file);
      const state = JSON.parse(metadata['state']!) as RunState;
      delete state.best!.sha256;
      state.history.forEach((epoch) => Object.assign(epoch, { seconds: 1.5, waited: 0.5 }));
      const { optimizer } = metadata;
      await writeSafetensors(file, tensors, {
        ...(optimizer && { optimizer }),
        state: JSON.stringify(state),
      });
    }
    return at;
  }
  test('are continued with one warning, and bound from then on', async () => {
    const at = await older();
    const { warnings } = await restart(at, { training: { ...training, epochs: 5 }, score: scored(4) });
    expect(warnings).toEqual([expect.stringMatching(/last\.safetensors was written by an earlier version/)]);
    const { state, warnings: none } = await restart(at, { training: { ...training, epochs: 5 } });
    expect(none).toEqual([]);
    expect(state.best).toEqual(finished.state.best);
    expect(state.history[0]).not.toHaveProperty('seconds');
  });
  test('are refused if their epochs do not agree', async () => {
    const at = await older();
    const two = await train({ training: { ...training, epochs: 2 }, score: scored() });
    await cp(bestCheckpoint(two.folder), bestCheckpoint(at));
    await expect(restart(at)).rejects.toThrow(/best\.safetensors: .*: epoch is 1, expected 3/);
  });
  test('finished, their weights are read by the epoch in done.json', async () => {
    const at = await older();
    expect(await requireBest(at, { bestEpoch: 3 })).toMatchObject({ isVerified: false });
    await expect(requireBest(at, { bestEpoch: 2 })).rejects.toThrow(/epoch is 3, expected 2/);
  });
});

test('the weights that a done.json names', async () => {
  const { sha256 } = finished.state.best!;
  const done = { bestEpoch: 3, sha256 };
  const at = await copy();
  expect(await requireBest(at, done)).toEqual({ file: bestCheckpoint(at), sha256, isVerified: true });
  await expect(requireBest(at, { ...done, sha256: '0'.repeat(64) })).rejects.toThrow(
    new RegExp(`best\\.safetensors: .* is ${sha256}, expected 0{64} → delete \\S+done\\.json and the folder`),
  );
  await flipBit(bestCheckpoint(at), lastByte);
  await expect(requireBest(at, done)).rejects.toThrow(/sha256_tensors is \w{64}.* → delete \S+done\.json/);
  await rm(bestCheckpoint(at));
  await expect(requireBest(at, done)).rejects.toThrow(/best\.safetensors: is missing.* → delete/);
});

test('a prediction that is NaN is reported with scan and epoch, and nothing is written', async () => {
  // One step an epoch: its loss is finite, the weights that it leaves are not.
  const wild = { ...training, batchSize: 10, learningRate: [{ from: 0, rate: 1e38 }] };
  const at = join(folder, 'nan');
  await expect(train({ folder: at, training: wild })).rejects.toThrow(
    /the member's prediction for scan val\/0 in epoch 1 is NaN → lower training\.learningRate/,
  );
  expect(existsSync(join(at, 'checkpoints'))).toBe(false);
});

test('a score that is NaN is none', async () => {
  await expect(train({ score: () => NaN })).rejects.toThrow(/the score is NaN in epoch 1/);
});
