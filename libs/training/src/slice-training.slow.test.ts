// Both networks of the preparation, small, trained until they can do it, and the lung segmenter's resuming.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256OfFile } from '@ct-ensemble/core';
import { atEdge } from '@ct-ensemble/data';
import { type Engine, openEngine } from '@ct-ensemble/engine';
import { describedIn, readSafetensors } from '@ct-ensemble/models';
import { dice, lungSegmenter, openLungSegmenter } from './lung-segmenter.ts';
import { StoppedError } from './predict.ts';
import { openSliceFilter, sliceFilter } from './slice-filter.ts';
import type { SliceTask } from './slice-network.ts';
import type { SliceTrainingOptions } from './slice-training.ts';
import { edge, sample, train as trainIn } from './testing/slices.fixture.ts';

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

test('the filter learns, is written with what it is, and answers for slices of any size', async () => {
  const before = engine.tensors;
  const { best, history, out } = await train(sliceFilter, { epochs: 15 });
  expect(best.scores['score']).toBe(1);
  expect(history.at(-1)!.loss).toBeLessThan(history[0]!.loss / 2);
  const { metadata } = await readSafetensors(out);
  expect(metadata).toMatchObject({ kind: 'slice-filter', channels: '3' });
  expect(describedIn(metadata, { file: out })).toMatchObject({
    architecture: 'resnext_small',
    classes: ['non-lung', 'lung'],
    size: [edge, edge],
  });
  expect(JSON.parse(metadata['validation']!)).toEqual({ ...best.scores, slices: 8, trainedOn: 16, epoch: best.epoch + 1 }); // prettier-ignore

  const filter = await openSliceFilter(out, { batchSize: 3 });
  expect(filter.id).toBe(`slice-filter-resnext_small-32-${await sha256OfFile(out)}`);
  const fresh = [30, 31, 32, 33].map((i) => sample(sliceFilter, i).image);
  expect(await filter.keep(fresh.map((data) => ({ height: edge, width: edge, data })))).toEqual([true, false, true, false]); // prettier-ignore
  const large = fresh.map((data) => atEdge({ height: edge, width: edge, data }, 70));
  expect(await filter.keep(large.map((data) => ({ height: 70, width: 70, data })))).toEqual([
    true,
    false,
    true,
    false,
  ]);
  expect(await filter.keep([])).toEqual([]);
  filter.dispose();
  expect(engine.tensors).toBe(before);
});

test('the segmenter learns, and its masks are 0 and 1 at its own size', async () => {
  const before = engine.tensors;
  const { best, out } = await train(lungSegmenter, { epochs: 15 });
  expect(best.scores['score']).toBeGreaterThan(0.9);
  const segmenter = await openLungSegmenter(out, { batchSize: 2 });
  expect([segmenter.edge, segmenter.id]).toEqual([edge, `lung-segmenter-att_unet_small-32-${await sha256OfFile(out)}`]); // prettier-ignore
  const fresh = [40, 42, 44].map((i) => sample(lungSegmenter, i));
  const masks = await segmenter.masks(fresh.map(({ image }) => ({ height: edge, width: edge, data: image })));
  masks.forEach((mask, i) => expect(dice(mask, fresh[i]!.truth)).toBeGreaterThan(0.85));
  expect(new Set(masks.flatMap((mask) => [...mask]))).toEqual(new Set([0, 1]));
  segmenter.dispose();
  expect(engine.tensors).toBe(before);
});

test('equal bytes when repeated, and when stopped and resumed', async () => {
  const task = lungSegmenter;
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
