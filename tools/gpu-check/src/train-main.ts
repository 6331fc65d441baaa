// Trains one small network per device, all at once, in worker threads of this process; prints the results as one JSON line.
//   node train-main.js '{"devices": [{"kind": "gpu", "index": 0}], "deterministic": true, "steps": 20}'
import { Worker } from 'node:worker_threads';
import { messageOf } from '@ct-ensemble/core';
import type { Device } from '@ct-ensemble/engine';
import type { Order, Trained } from './member-worker.ts';

/** The program's argument, as JSON. */
export interface TrainOrder extends Omit<Order, 'device'> {
  devices: Device[];
}

const { devices, ...rest } = JSON.parse(process.argv[2] ?? '') as TrainOrder;
try {
  const trained = await Promise.all(devices.map((device) => train({ device, ...rest })));
  console.log(JSON.stringify(trained));
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}

function train(workerData: Order): Promise<Trained> {
  const worker = new Worker(new URL('./member-worker.js', import.meta.url), { workerData });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve).once('error', reject);
    worker.once('exit', (code) =>
      reject(new Error(`the worker on ${JSON.stringify(workerData.device)} ended with ${code}`)),
    );
  });
}
