// Checkpoints inside epochs: the files at the end do not depend on them, wherever the training is stopped; damaged last
// checkpoints; failed writes; micro-batches of another size.
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { jest } from '@jest/globals';
import { type Engine, openEngine } from '@ct-ensemble/engine';
import { readSafetensors } from '@ct-ensemble/models';
import {
  bestCheckpoint,
  checkpointFolder,
  lastCheckpoint,
  previousBestCheckpoint,
  previousCheckpoint,
} from './checkpoint.ts';
import { StoppedError } from './predict.ts';
import type { TrainingOptions } from './schema.ts';
import {
  begin,
  expectFilesOf,
  fixed,
  flipLastBit,
  newFolder,
  removeFolders,
  resume,
  scored,
  settings,
  stateOf,
  STEPS,
} from './testing/inside-epoch.fixture.ts';
import { scans, train, training } from './testing/member.fixture.ts';

let engine: Engine;
let undisturbed: Awaited<ReturnType<typeof train>>;
beforeAll(async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
  undisturbed = await train({ ...fixed, folder: newFolder(), score: scored() });
});
afterAll(async () => {
  engine.close();
  await removeFolders();
});

const expectUndisturbed = (at: string) => expectFilesOf(undisturbed.folder, at);

test('the files do not depend on the clock', async () => {
  const every = Array.from({ length: 3 * STEPS }, (_, i) => i + 1);
  const at = newFolder();
  await begin(at, { checkpoints: every });
  await expectUndisturbed(at);
});

test.each([1, 4, 7, 9, 11, 14])('stopped after step %i of 15 and resumed: equal bytes', async (step) => {
  const at = newFolder();
  await begin(at, { checkpoints: [step], stopAfter: step });
  expect(await stateOf(at)).toMatchObject({
    epochs: Math.floor(step / STEPS),
    insideEpoch: { steps: step % STEPS, batchSize: 4 },
  });
  const { progress, weights, warnings } = await resume(at);
  expect(progress[0]).toMatchObject({
    kind: 'resumed',
    epoch: Math.floor(step / STEPS),
    step: step % STEPS,
  });
  expect(progress.filter(({ kind }) => kind === 'step')).toHaveLength(3 * STEPS - step);
  expect(weights).toEqual(undisturbed.weights);
  expect(warnings).toEqual([]);
  await expectUndisturbed(at);
});

// It is asked once a step, though a step has two micro-batches, and twice in each validation.
test.each([
  ['before a step', STEPS + 2 + 2, 2],
  ['in the validation', STEPS + 2 + STEPS + 1, STEPS],
])('asked to stop %s: the finished steps are kept, and none is computed again', async (_, times, steps) => {
  const at = newFolder();
  let asked = 0;
  const stop = () => ++asked > times;
  const stopped = train({ ...fixed, folder: at, score: scored(), checkpointSeconds: 300, stop });
  await expect(stopped).rejects.toThrow(StoppedError);
  expect(await stateOf(at)).toMatchObject({ epochs: 1, insideEpoch: { steps, batchSize: 4 } });
  const { progress } = await resume(at);
  expect(progress.filter(({ kind }) => kind === 'step')).toHaveLength(2 * STEPS - steps);
  await expectUndisturbed(at);
});

test('asked to stop where a checkpoint has just been written: no second one is', async () => {
  const at = newFolder();
  await begin(at, { checkpoints: [4], stopAfter: 4 });
  expect(existsSync(previousCheckpoint(at))).toBe(false);
});

test('asked to stop with checkpoints at the ends of epochs only: the epoch begins anew', async () => {
  const at = newFolder();
  await begin(at, { checkpoints: [], stopAfter: 7, checkpointSeconds: 0 });
  expect(await stateOf(at)).not.toHaveProperty('insideEpoch');
});

describe('a damaged last checkpoint', () => {
  test.each<[string, (file: string) => Promise<void>]>([
    ['with a changed bit', flipLastBit],
    ['truncated', async (file) => writeFile(file, (await readFile(file)).subarray(0, -7))],
    ['empty', (file) => writeFile(file, '')],
    ['missing', (file) => rm(file)],
  ])('inside an epoch gives way to the one before, with a warning: %s', async (_, damage) => {
    const at = newFolder();
    // Whether the write at step 6 has ended when step 8 is due or not: the previous one is of this epoch or of its beginning.
    await begin(at, { checkpoints: [6, 8], stopAfter: 8 });
    expect(existsSync(previousCheckpoint(at))).toBe(true);
    await damage(lastCheckpoint(at));
    const { warnings } = await resume(at, { score: scored(1) });
    expect(warnings).toEqual([
      expect.stringMatching(
        /last\.safetensors is (not a valid safetensors file: .*|missing): training goes on from the checkpoint before it, after 1 epochs/,
      ),
    ]);
    await expectUndisturbed(at);
  });

  test('that names a new best one gives way together with it', async () => {
    const at = newFolder();
    await begin(at, { checkpoints: [7], stopAfter: 2 * STEPS });
    expect(existsSync(previousBestCheckpoint(at))).toBe(true);
    const lost = newFolder();
    await cp(at, lost, { recursive: true });

    await flipLastBit(lastCheckpoint(at));
    const { warnings, progress } = await resume(at, { score: scored(1) });
    expect(warnings).toEqual([expect.stringMatching(/after 1 epochs and 2 steps of the next one$/)]);
    expect(progress[0]).toMatchObject({ kind: 'resumed', epoch: 1, step: 2 });
    await expectUndisturbed(at);

    await flipLastBit(lastCheckpoint(lost));
    await flipLastBit(previousBestCheckpoint(lost));
    await expect(resume(lost)).rejects.toThrow(
      /last\.safetensors: is not a valid .*; the checkpoint before it cannot be used either: the best checkpoint of epoch 1, which it names, is missing or damaged → delete the folder/,
    );
    expect(existsSync(lastCheckpoint(lost))).toBe(true);
  });

  test('is an error if the one before is damaged too, and if it is another training', async () => {
    const at = newFolder();
    await begin(at, { checkpoints: [7], stopAfter: 7 });
    await expect(resume(at, { seed: 6 })).rejects.toThrow(
      /last\.safetensors: belongs to another training: seed/,
    );
    await flipLastBit(lastCheckpoint(at));
    await flipLastBit(previousCheckpoint(at));
    await expect(resume(at)).rejects.toThrow(
      /last\.safetensors: .*; the checkpoint before it cannot be used either: \S+previous\.safetensors is not a valid/,
    );
  });

  test('a damaged best checkpoint is never used', async () => {
    const at = newFolder();
    await begin(at, { checkpoints: [12], stopAfter: 12 });
    await flipLastBit(bestCheckpoint(at));
    await expect(resume(at)).rejects.toThrow(/best\.safetensors: is not a valid/);
  });
});

test('a checkpoint inside an epoch is refused where it does not fit', async () => {
  const at = newFolder();
  await begin(at, { checkpoints: [12], stopAfter: 12 });
  const start = (changed: Partial<TrainingOptions>) => resume(at, { training: { ...settings, ...changed } });
  await expect(start({ epochs: 2 })).rejects.toThrow(
    /inside epoch 3, but the training has 2 epochs → set epochs to 3/,
  );
  await expect(start({ batchSize: 8 })).rejects.toThrow(/another training: batchSize is 4, expected 8/);
  // Versions that know only epochs look for the field `state`.
  const { metadata } = await readSafetensors(lastCheckpoint(at));
  expect(metadata['state']).toBeUndefined();
});

describe('a checkpoint that cannot be written', () => {
  const blocked = async () => {
    const at = newFolder();
    await mkdir(at);
    await writeFile(checkpointFolder(at), 'a file where the folder should be');
    return at;
  };
  const message = /checkpoints\S*: (cannot be written \(EEXIST|a part of the path is a file)/;

  test('ends the training at a later step or at the end of the epoch', async () => {
    const at = await blocked();
    const judged = jest.fn(scored());
    await expect(begin(at, { checkpoints: [1], score: judged })).rejects.toThrow(message);
    // It ended in the first epoch, by the failed write and not by the checkpoint of the epoch.
    expect(judged.mock.calls.length).toBeLessThanOrEqual(1);
  });

  test('is a warning if the training ends for another reason', async () => {
    const warnings = await begin(await blocked(), { checkpoints: [1], stopAfter: 1 });
    expect(warnings).toEqual([
      expect.stringMatching(/^a checkpoint inside the epoch could not be written: /),
    ]);
    expect(warnings[0]).toMatch(message);
  });
});

test('micro-batches of another size: the same steps, and a warning from where on', async () => {
  const plain: TrainingOptions = {
    ...training,
    epochs: 2,
    batchSize: 4,
    optimizer: { name: 'sgd', momentum: 0.9, nesterov: false, weightDecay: 0 },
    learningRate: [{ from: 0, rate: 0.5 }],
  };
  const options = { ...fixed, training: plain, train: scans('train', 10) };
  const whole = await train({ ...options, score: scored(), folder: newFolder() });
  const at = newFolder();
  await begin(at, { ...options, checkpoints: [4], stopAfter: 4, checkpointSeconds: 1 });
  const halved = { ...options, training: { ...plain, accumulate: 2 } };
  const { state, weights, warnings } = await resume(at, halved);
  expect(warnings).toEqual([
    expect.stringMatching(
      /^from epoch 2, step 2 on with micro-batches of 2 scans, before of 4\. The steps still have 4 scans/,
    ),
  ]);
  expect(state.steps).toBe(whole.state.steps);
  state.history.forEach(({ loss }, i) =>
    expect(Math.abs(loss / whole.state.history[i]!.loss - 1)).toBeLessThan(1e-5),
  );
  for (const [name, values] of weights)
    values.forEach((value, i) => expect(Math.abs(value - whole.weights.get(name)![i]!)).toBeLessThan(1e-5));
  expect((await resume(at, halved)).warnings).toEqual([]);
});
