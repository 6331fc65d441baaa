// What both sides start from: the network's first weights and the volumes, as safetensors files.
import { randomStream } from '@ct-ensemble/core';
import { openEngine } from '@ct-ensemble/engine';
import { buildModel, saveWeights, writeSafetensors } from '@ct-ensemble/models';
import type { Settings } from './settings.ts';

export const CLASSES = 2;
/** Weights that are built with this seed are those of the file. */
export const SEED = 1;

/** Writes both; a smaller batch takes the first volumes. */
export async function writeStartFiles(
  files: Pick<Settings, 'weights' | 'volumes'>,
  { architecture, batch, depth, size }: Pick<Settings, 'architecture' | 'batch' | 'depth' | 'size'>,
) {
  const engine = await openEngine({ engine: 'cpu' });
  try {
    const model = buildModel(architecture, { views: [depth], classes: CLASSES, seed: SEED });
    await saveWeights(model.parameters, files.weights);
  } finally {
    engine.close();
  }
  const random = randomStream({ seed: SEED, purpose: 'bench' });
  const shape = [batch, depth, size, size];
  const data = Uint8Array.from({ length: batch * depth * size * size }, () => random.integer(256));
  await writeSafetensors(files.volumes, new Map([['volumes', { dtype: 'U8', shape, data }]]));
}
