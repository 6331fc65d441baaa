// Compares the files and logits of networks with those that `nx run models:round-trip -- --record` recorded: PyTorch
// (strict=True) and ONNX Runtime computed logits from exactly these files.
import { readJson } from '@ct-ensemble/core';
import { findTensorFlow, openEngine, type Engine } from '@ct-ensemble/engine';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { architectureNames } from '../registry.ts';
import { writeRoundTrip } from '../weights/round-trip.ts';

interface Recorded {
  safetensors: string;
  onnx: string;
  pytorch: number[] | null;
  onnxruntime: number[];
}

const fixture = fileURLToPath(new URL('../fixtures/round-trip.json', import.meta.url));

/** Declares one test for each network of the registry whose name is chosen. */
export async function testRoundTrips(isChosen: (name: string) => boolean) {
  const { networks } = (await readJson(fixture)) as { networks: Record<string, Recorded> };
  let engine: Engine;
  let folder: string;
  beforeAll(async () => {
    engine = await openEngine({ engine: findTensorFlow() ? 'tensorflow' : 'cpu' });
    folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-models-'));
  });
  afterAll(async () => {
    engine.close();
    await rm(folder, { recursive: true });
  });

  for (const name of architectureNames().filter(isChosen)) {
    const recorded = networks[name];
    if (recorded) test(name, () => expectRecorded(name, recorded));
    else test.skip(`${name} (skipped: not recorded; nx run models:round-trip -- --record)`, () => undefined);
  }

  async function expectRecorded(name: string, { safetensors, onnx, pytorch, onnxruntime }: Recorded) {
    const ours = await writeRoundTrip(name, folder);
    expect(ours).toMatchObject({ safetensors, onnx });
    for (const theirs of [onnxruntime, ...(pytorch ? [pytorch] : [])]) {
      expect(theirs).toHaveLength(ours.logits.length);
      ours.logits.forEach((value, i) => expect(Math.abs(value - theirs[i]!)).toBeLessThan(1e-5));
    }
  }
}
