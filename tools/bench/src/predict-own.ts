// This project's side of bench:predict: a process that prepares a scan and asks the members for it, again for each line on
// standard input. It is made of what an ensemble file's ensemble is made of, without the file: the threads that prepare scans, and the
// members' captured function.
import { createInterface } from 'node:readline';
import { openPreparer, type ScanEntry } from '@ct-ensemble/data';
import { openEngine } from '@ct-ensemble/engine';
import { buildModel, loadWeights } from '@ct-ensemble/models';
import { predictionSteps, volumesTensor } from '@ct-ensemble/training';
import type { PredictAnswer, PredictSettings } from './predict-settings.ts';

const settings = JSON.parse(process.argv[2]!) as PredictSettings;
const { architecture, weights, slices, depth, size, classes, threads } = settings;

const preparer = openPreparer({ preparations: [{ depth, height: size, width: size }], threads });
const engine = await openEngine({ device: { kind: 'cpu', index: 0, threads } });
const models = [];
for (const file of weights) {
  const model = buildModel(architecture, { views: [depth], classes });
  await loadWeights(model.parameters, file);
  models.push(model);
}
const step = predictionSteps(models);

const seconds = () => ({ wall: performance.now() / 1000, cpu: cpuSeconds() });

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function answer(): Promise<PredictAnswer> {
  const begun = seconds();
  const scan: ScanEntry = {
    key: 'test/scan',
    name: 'scan',
    split: 'test',
    label: null,
    patient: null,
    group: null,
    format: 'images',
    slices,
    failure: null,
  };
  const { volumes: prepareds } = await preparer.prepare(scan);
  const volume = prepareds[0]!;
  const prepared = seconds();
  const volumes = volumesTensor(volume.data, [1, depth, size, size]);
  const rows: number[][] = [];
  for (const { probabilities } of await step({ volumes })) {
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
step.dispose();
await preparer.close();
engine.close();
