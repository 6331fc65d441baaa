// Slices that are drawn, and a short training of the slice filter or the lung segmenter on them.
import { join } from 'node:path';
import { randomStream } from '@ct-ensemble/core';
import type { SliceSample } from '@ct-ensemble/data';
import { lungSegmenter } from '../lung-segmenter.ts';
import { sliceFilter } from '../slice-filter.ts';
import type { SliceTask } from '../slice-network.ts';
import { type SliceEpoch, type SliceTrainingOptions, trainSliceNetwork } from '../slice-training.ts';

export const edge = 32;
export const map = (values: number[]) => Uint8Array.from(values);

/** A grey body on black; every other slice with two dark lungs in it. The truth is the mask, or whether there is one. */
export function sample(task: SliceTask, i: number): SliceSample {
  const random = randomStream({ seed: 4, purpose: 'slice', sample: i });
  const [width, height] = [3 + 2 * random.uniform(), 6 + 3 * random.uniform()];
  const pixels = Array.from({ length: edge * edge }, (_, k) => {
    const [x, y] = [(k % edge) - 15.5, Math.floor(k / edge) - 15.5];
    const isBody = Math.hypot(x / 14, y / 12) < 1;
    const isLung = i % 2 === 0 && Math.hypot((Math.abs(x) - 6.5) / width, y / height) < 1;
    return { grey: (isLung ? 60 : isBody ? 180 : 0) + 20 * random.uniform(), lung: isLung ? 1 : 0 };
  });
  const mask = map(pixels.map(({ lung }) => lung));
  return {
    name: `slice ${i}`,
    group: `p${i}`,
    image: map(pixels.map(({ grey }) => grey)),
    truth: task === lungSegmenter ? mask : Uint8Array.of(1 - (i % 2)),
  };
}

let outs = 0;
export async function train(folder: string, task: SliceTask, options: Partial<SliceTrainingOptions> = {}) {
  const samples = Array.from({ length: 24 }, (_, i) => sample(task, i));
  const out = join(folder, `${outs++}.safetensors`);
  const told: { record: SliceEpoch; resumed: boolean }[] = [];
  const all: SliceTrainingOptions = {
    task,
    architecture: task === sliceFilter ? 'resnext_small' : 'att_unet_small',
    edge,
    epochs: 3,
    batchSize: 7,
    learningRate: 0.003,
    seed: 1,
    train: samples.slice(0, 16),
    val: samples.slice(16),
    out,
    onEpoch: (record, { resumed }) => void told.push({ record, resumed }),
    ...options,
  };
  return { ...(await trainSliceNetwork(all)), out: all.out, told };
}
