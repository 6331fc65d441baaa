// Both networks of the preparation, small, trained for real on made-up slices.
import { sourcesOf } from './augmentations/turn.ts';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Engine, openEngine } from '@ct-ensemble/engine';
import { buildModel, readSafetensors, saveWeights, writeSafetensors } from '@ct-ensemble/models';
import tf, { type Tensor3D } from '@tensorflow/tfjs';
import { dice, lungSegmenter, openLungSegmenter, segmenterScores } from './lung-segmenter.ts';
import { StoppedError } from './predict.ts';
import { filterScores, openSliceFilter, sliceFilter } from './slice-filter.ts';
import { buildSliceModel, type SliceTask } from './slice-network.ts';
import { bestCheckpoint, lastCheckpoint } from './checkpoint.ts';
import { type SliceTrainingOptions, trainingFolder } from './slice-training.ts';
import { edge, map, sample, train as trainIn } from './testing/slices.fixture.ts';

let engine: Engine;
let folder: string;
beforeAll(async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-slices-'));
});
afterAll(async () => {
  engine.close();
  await rm(folder, { recursive: true, force: true });
});

const train = (task: SliceTask, options: Partial<SliceTrainingOptions> = {}) =>
  trainIn(folder, task, options);

test('equal bytes when repeated, and when stopped and resumed', async () => {
  const task = sliceFilter;
  const straight = await train(task);
  const again = await train(task);
  const bytes = await readFile(straight.out);
  expect((await readFile(again.out)).equals(bytes)).toBe(true);

  let asked = 0;
  const out = join(folder, `resumed-${task.kind}.safetensors`);
  const stopped = train(task, { out, stop: () => ++asked > 5 }); // three steps an epoch: in the second
  await expect(stopped).rejects.toThrow(StoppedError);
  const resumed = await train(task, { out });
  expect(resumed.told.map(({ record, resumed }) => [record.epoch, resumed])).toEqual([[0, true], [1, false], [2, false]]); // prettier-ignore
  expect((await readFile(out)).equals(bytes)).toBe(true);
  const finished = await train(task, { out });
  expect(finished.told).toHaveLength(1);
  expect((await readFile(out)).equals(bytes)).toBe(true);
});

test('published weights are started from, but for the head', async () => {
  const published = buildModel('resnext_small', { views: [], classes: 10, seed: 77 });
  const file = join(folder, 'published.safetensors');
  await saveWeights(published.parameters, file);
  published.dispose();
  const { out } = await train(sliceFilter, { epochs: 1, learningRate: 1e-9, pretrained: file });
  const [from, to] = [(await readSafetensors(file)).tensors, (await readSafetensors(out)).tensors];
  const first = (tensors: typeof from) => tensors.get('layer1.0.conv1.weight')!.data[0] as number;
  expect(first(to)).toBeCloseTo(first(from), 6);
  expect(to.get('fc.weight')!.shape[0]).toBe(2);
});

test('another seed gives other weights; checkpoints of other settings or data are not gone on from', async () => {
  const one = await train(sliceFilter, { epochs: 1 });
  const two = await train(sliceFilter, { epochs: 1, seed: 2 });
  expect((await readFile(one.out)).equals(await readFile(two.out))).toBe(false);
  await expect(train(sliceFilter, { epochs: 2, seed: 2, out: one.out })).rejects.toThrow(
    /settings\.json: was written with other settings: epochs 1, now 2; seed 1, now 2 → give the same settings, another --out/,
  );
  const val = [sample(sliceFilter, 16), sample(sliceFilter, 99)];
  await expect(train(sliceFilter, { epochs: 1, val, out: one.out })).rejects.toThrow(
    /slices held out 8 \(\w+\), now 2/,
  );
});

test('checkpoints are equal in equal runs, and bound to each other', async () => {
  const [one, two] = [await train(sliceFilter, { epochs: 2 }), await train(sliceFilter, { epochs: 2 })];
  for (const file of [lastCheckpoint, bestCheckpoint])
    expect(await readFile(file(trainingFolder(one.out)))).toEqual(
      await readFile(file(trainingFolder(two.out))),
    );
  const best = bestCheckpoint(trainingFolder(one.out));
  const bytes = await readFile(best);
  bytes[bytes.length - 1]! ^= 1;
  await writeFile(best, bytes);
  await expect(train(sliceFilter, { epochs: 2, out: one.out })).rejects.toThrow(
    /best\.safetensors: .*sha256_tensors is \w{64}, expected \w{64} → delete the folder/,
  );
  const seeded = await train(sliceFilter, { epochs: 2, seed: 2 });
  await cp(bestCheckpoint(trainingFolder(seeded.out)), best);
  await expect(train(sliceFilter, { epochs: 2, out: one.out })).rejects.toThrow(
    /best\.safetensors: belongs to another training: setting seed is 2, expected 1/,
  );
});

test('an output that is NaN is no decision', async () => {
  const wild = train(sliceFilter, { batchSize: 16, learningRate: 1e38 });
  await expect(wild).rejects.toThrow(/the network's output for slice slice 16 in epoch 1 is NaN/);
});

test('the mask is turned as its image is', () => {
  const { image, truth } = sample(lungSegmenter, 0);
  const quarter = { angle: 90, mirrorX: false, mirrorY: false, height: edge, width: edge };
  const sources = sourcesOf(quarter, 'linear');
  const columns = tf.tensor4d(sources.columns, [1, 1, 2, edge], 'int32');
  const rows = tf.tensor4d(sources.rows, [1, 1, 2, edge], 'int32');
  const input = (values: Uint8Array) => tf.tensor3d(Array.from(values), [1, edge, edge]);
  const turned = lungSegmenter.truthOf(input(truth), { columns, rows });
  // The output's pixel (X, Y) is the input's (edge − 1 − Y, X).
  const expected = Array.from(truth, (_, k) => truth[edge * (k % edge) + edge - 1 - Math.floor(k / edge)]!);
  expect(Array.from(turned.dataSync())).toEqual(expected);
  expect(turned.shape).toEqual([1, edge, edge]);
  const still = input(image);
  expect(lungSegmenter.truthOf(still as Tensor3D, {})).toBe(still);
});

describe('scores in closed form', () => {
  test('Dice', () => {
    expect(dice(map([1, 1, 0, 0]), map([1, 0, 1, 0]))).toBe(0.5);
    expect(dice(map([1, 1, 1, 0]), map([1, 0, 0, 0]))).toBe(0.5);
    expect(dice(map([1, 0]), map([1, 0]))).toBe(1);
    expect(dice(map([1, 0]), map([0, 1]))).toBe(0);
    expect(dice(map([0, 0]), map([0, 0]))).toBe(1);
    expect(segmenterScores([map([1, 0]), map([1, 1])], [map([1, 0]), map([1, 0])]).score).toBeCloseTo(
      5 / 6,
      12,
    );
  });
  test('the mean of the recalls', () => {
    const labels = (...values: number[]) => values.map((value) => Uint8Array.of(value));
    expect(filterScores(labels(1, 1, 1, 1, 0, 0), labels(1, 1, 1, 0, 0, 1))).toEqual({
      score: (3 / 4 + 1 / 2) / 2,
      accuracy: 4 / 6,
      lungKept: 3 / 4,
      nonLungLeftOut: 1 / 2,
    });
    expect(filterScores(labels(1, 1), labels(1, 0))).toEqual({ score: 0.5, accuracy: 0.5, lungKept: 0.5 });
  });
});

describe('refused by name', () => {
  test('weights of the other network, of no network, of other tensors', async () => {
    const { out } = await train(sliceFilter, { epochs: 1 });
    await expect(openLungSegmenter(out)).rejects.toThrow(
      /safetensors: is not a weights file of a lung-segmenter: its metadata names slice-filter → give a file written by trainer:segmenter/,
    );
    const { tensors, metadata } = await readSafetensors(out);
    const write = async (name: string, meta: typeof metadata, content = tensors) => {
      await writeSafetensors(join(folder, name), content, meta);
      return openSliceFilter(join(folder, name));
    };
    await expect(write('silent.safetensors', {})).rejects.toThrow(/its metadata does not name a kind/);
    await expect(write('size.safetensors', { ...metadata, size: '[32,16]' })).rejects.toThrow(
      /a square size/,
    );
    await expect(write('size.safetensors', { ...metadata, size: '"x"' })).rejects.toThrow(/metadata, size/);
    await expect(write('classes.safetensors', { ...metadata, classes: '["lung","non-lung"]' })).rejects.toThrow(/the classes non-lung, lung/); // prettier-ignore
    const fewer = new Map([...tensors].filter(([name]) => name !== 'fc.bias'));
    await expect(write('fewer.safetensors', metadata, fewer)).rejects.toThrow(
      /do not fit the model: fc\.bias is missing/,
    );
    await expect(openSliceFilter(join(folder, 'none.safetensors'))).rejects.toThrow(/there is no such file/);
    await writeFile(join(folder, 'text.safetensors'), 'nothing at all');
    await expect(openSliceFilter(join(folder, 'text.safetensors'))).rejects.toThrow(/text\.safetensors/);
  });
  test('a network of the other sort, and a size it does not take', () => {
    const build = (task: SliceTask, name: string, size: number) => () =>
      buildSliceModel(task, name, { edge: size });
    expect(build(sliceFilter, 'att_unet', 32)).toThrow(
      /att_unet is not an architecture for a slice-filter → choose one of densenet161/,
    );
    expect(build(lungSegmenter, 'resnext_small', 32)).toThrow(/→ choose one of att_unet, att_unet_small/);
    expect(build(lungSegmenter, 'att_unet', 100)).toThrow(
      /size 100: att_unet takes 16 pixels or more, a multiple of 16 → give 224/,
    );
  });
  test('slices of which none shows lung', async () => {
    const none = [1, 3].map((i) => sample(lungSegmenter, i));
    await expect(train(lungSegmenter, { train: none })).rejects.toThrow(
      /none of the 2 slices to train on shows lung → add slices that do, or hold others out with --val/,
    );
  });
  test('a loss that is not finite', async () => {
    await expect(train(lungSegmenter, { learningRate: 1e30 })).rejects.toThrow(
      /the loss is (NaN|Infinity) in epoch \d+, step \d+ → give a lower --learning-rate/,
    );
  });
});
