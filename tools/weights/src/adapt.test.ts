import { UserError } from '@ct-ensemble/core';
import { openEngine } from '@ct-ensemble/engine';
import { buildNetwork, exportTensors, loadWeights, saveWeights } from '@ct-ensemble/models';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { adapt, reportText } from './adapt.ts';

const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-weights-'));
const published = join(folder, 'published.safetensors');
const network = { views: [4, 2], classes: 2, seed: 3 };

/** The state dict of a network with weights from a file, or from the seed; the latter are saved as the published file. */
async function stateOf(options: Parameters<typeof buildNetwork>[1], file?: string) {
  const engine = await openEngine({ engine: 'cpu' });
  try {
    const { parameters } = buildNetwork('densenet_small', options);
    if (file !== undefined) await loadWeights(parameters, file);
    else await saveWeights(parameters, published);
    return await exportTensors(parameters);
  } finally {
    engine.close();
  }
}

test('the written network has the published backbone, and for the rest values of the seed', async () => {
  const theirs = await stateOf({ views: [], classes: 10, seed: 1 });
  const out = join(folder, 'adapted.safetensors');
  const report = await adapt({ architecture: 'densenet_small', network, file: published, out });
  expect(reportText(report)).toBe(
    `${report.loaded.length} loaded; skipped: classifier.bias, classifier.weight; new: encoder1.weight, encoder1.bias, ` +
      'encoder2.weight, encoder2.bias, encoder3.weight, encoder3.bias, … (8)',
  );
  const ours = await stateOf(network, out);
  for (const name of report.loaded) expect(ours.get(name)).toEqual(theirs.get(name.slice('model.'.length)));
  expect(ours.size).toBe(report.loaded.length + 8);
});

test('a file of another network is refused, and nothing is written', async () => {
  const attempt = adapt({
    architecture: 'resnext_small',
    network,
    file: published,
    out: join(folder, 'none'),
  });
  await expect(attempt).rejects.toThrow(UserError);
  await expect(attempt).rejects.toThrow(
    /is not a file of weights for resnext_small: features\.\S+ is unknown/,
  );
});
