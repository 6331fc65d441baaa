// This project's side of bench:predict: a process that prepares a scan and asks the members for it, again for each line on
// standard input.
import { createInterface } from 'node:readline';
import { prepareVolume } from '@ct-ensemble/data';
import { openEngine } from '@ct-ensemble/engine';
import { buildModel, loadWeights } from '@ct-ensemble/models';
import { predictionStep, volumesTensor } from '@ct-ensemble/training';
import type { PredictAnswer, PredictSettings } from './predict-settings.ts';

const settings = JSON.parse(process.argv[2]!) as PredictSettings;
const { architecture, weights, slices, depth, size, classes, threads } = settings;

const engine = await openEngine({ device: { kind: 'cpu', index: 0, threads } });
const steps = await Promise.all(
  weights.map(async (file) => {
    const model = buildModel(architecture, { views: [depth], classes });
    await loadWeights(model.parameters, file);
    return predictionStep(model);
  }),
);

const seconds = () => ({ wall: performance.now() / 1000, cpu: cpuSeconds() });

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function answer(): Promise<PredictAnswer> {
  const begun = seconds();
  const scan = { key: 'test/scan', format: 'images', slices } as const;
  const { volume } = await prepareVolume(scan, { depth, height: size, width: size });
  const prepared = seconds();
  const volumes = volumesTensor(volume.data, [1, depth, size, size]);
  const rows: number[][] = [];
  for (const step of steps) {
    const { probabilities } = await step({ volumes });
    rows.push([...(await probabilities.data())]);
    probabilities.dispose();
  }
  volumes.dispose();
  const ended = seconds();
  return {
    library: `${engine.description}, Node ${process.version}`,
    prepare: prepared.wall - begun.wall,
    forward: ended.wall - prepared.wall,
    prepareCpu: prepared.cpu - begun.cpu,
    forwardCpu: ended.cpu - prepared.cpu,
    cpu: ended.cpu,
    probabilities: rows[0]!.map((_, c) => rows.reduce((sum, row) => sum + row[c]!, 0) / rows.length),
    mean: volume.data.reduce((sum, value) => sum + value, 0) / volume.data.length,
  };
}

console.log(JSON.stringify(await answer()));
for await (const line of createInterface({ input: process.stdin }))
  if (line !== '') console.log(JSON.stringify(await answer()));
for (const step of steps) step.dispose();
engine.close();
