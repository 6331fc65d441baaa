// Scores with intervals of some members, in a thread of its own: the workload of an ensemble's evaluation.
import { parentPort, workerData } from 'node:worker_threads';
import { drawResamples, predictionsOf, scoreIntervals } from '../dist/index.js';
import { rows } from './rows.mjs';

const { members, scans, classes } = workerData;
const inputs = members.map((m) => predictionsOf(rows(scans, classes, m)));
parentPort.once('message', () => {
  const resamples = drawResamples({ patients: scans, seed: 1 });
  for (const p of inputs) scoreIntervals(p, { resamples });
  parentPort.postMessage('done');
  parentPort.close();
});
parentPort.postMessage('ready');
