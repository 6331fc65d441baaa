// Writes the files that both sides start from: the network's initial weights and the volumes, as safetensors.
import { randomStream } from '@ct-ensemble/core';
import { openEngine } from '@ct-ensemble/engine';
import { architectureOf, buildNetwork, saveWeights, writeSafetensors } from '@ct-ensemble/models';
import type { Settings } from './settings.ts';

export const CLASSES = 2;
const SEED = 1;

/** Builds the network of a case. Without a seed its parameters are 0, to be set from a file. */
export function networkOf(
  { architecture, depth, views }: Pick<Settings, 'architecture' | 'depth' | 'views'>,
  seed?: number,
) {
  const classes = architectureOf(architecture).output === 'map' ? 1 : CLASSES;
  return buildNetwork(architecture, {
    views,
    channels: depth,
    classes,
    ...(seed === undefined ? {} : { seed }),
  });
}

/** Writes initial weights and `batch` volumes of random bytes. */
export async function writeStartFiles(
  files: Pick<Settings, 'weights' | 'volumes'>,
  settings: Pick<Settings, 'architecture' | 'batch' | 'depth' | 'views' | 'size'>,
) {
  const engine = await openEngine({ engine: 'cpu' });
  try {
    const model = networkOf(settings, SEED);
    await saveWeights(model.parameters, files.weights);
  } finally {
    engine.close();
  }
  const random = randomStream({ seed: SEED, purpose: 'bench' });
  const { batch, depth, size } = settings;
  const shape = [batch, depth, size, size];
  const data = Uint8Array.from({ length: batch * depth * size * size }, () => random.integer(256));
  await writeSafetensors(files.volumes, new Map([['volumes', { dtype: 'U8', shape, data }]]));
}
