// The thread that holds an ensemble's networks on a device of its own engine: it answers one request after the other.
import { once } from 'node:events';
import { parentPort } from 'node:worker_threads';
import { asUserError, messageOf, UserError } from '@ct-ensemble/core';
import { prepareInMemory, viewsOf } from '@ct-ensemble/data';
import { EngineError, openEngine } from '@ct-ensemble/engine';
import { buildModel, importTensors, type Model, readSafetensors } from '@ct-ensemble/models';
import { predictionSteps, volumesTensor } from '@ct-ensemble/training';
import type {
  MemberRows,
  NetworkReply,
  NetworkRequest,
  NetworkResults,
  NetworkStart,
  SentError,
} from './network-messages.ts';
import { preparationNetworks } from './preparation-networks.ts';

const port = parentPort!;
const send = (reply: NetworkReply, transfer: ArrayBuffer[] = []) => port.postMessage(reply, transfer);

function sent(error: unknown): SentError {
  const known = asUserError(error);
  if (known instanceof EngineError) return { message: known.message, user: { problem: known.message } };
  if (!(known instanceof UserError)) return { message: messageOf(error) };
  const { message, problem, file, remedy } = known;
  return { message, user: { problem, file, remedy } };
}

async function open({ file, manifest, buffer, weights, engine: kind, device }: NetworkStart) {
  const { members, preparation, classes, engine: settings } = manifest;
  const { tf32, deterministic, precision } = settings;
  const engine = await openEngine({
    engine: kind,
    device,
    ...(tf32 !== undefined && { tf32 }),
    ...(deterministic !== undefined && { deterministic }),
  });
  const places = new Map(weights.map((entry) => [entry.name, entry]));
  const bytesOf = (name: string) => {
    const { offset, length } = places.get(name)!;
    return new Uint8Array(buffer, offset, length);
  };
  const models: Model[] = [];
  for (const { name, architecture, views, weights: entry } of members) {
    const model = buildModel(architecture, { views, classes: classes.length });
    const { tensors } = await readSafetensors(bytesOf(entry));
    importTensors(model.parameters, tensors, `${file} (${name})`);
    models.push(model);
  }
  // Members that are one function of their weights and see the same volume share a captured function.
  const alike = new Map<string, number[]>();
  for (const [m, { architecture, views, volume }] of members.entries()) {
    const key = JSON.stringify({ architecture, views, volume });
    alike.set(key, [...(alike.get(key) ?? []), m]);
  }
  const groups = [...alike.values()].map((group) => ({
    members: group,
    volume: members[group[0]!]!.volume,
    step: predictionSteps(
      group.map((m) => models[m]!),
      { precision },
    ),
  }));
  const networks = await preparationNetworks(preparation, { file, bytesOf });

  async function predict(scans: readonly Uint8Array[][], batchSize: number): Promise<MemberRows> {
    const rows: MemberRows = scans.map(() => []);
    for (let first = 0; first < scans.length; first += batchSize) {
      const batch = scans.slice(first, first + batchSize);
      const volumes = preparation.volumes.map(({ height, width, ...rest }, v) => {
        const depth = viewsOf(rest).reduce((sum, slices) => sum + slices, 0);
        const size = depth * height * width;
        const bytes = new Uint8Array(batchSize * size); // what is not filled stays black
        batch.forEach((scan, i) => bytes.set(scan[v]!, i * size));
        return volumesTensor(bytes, [batchSize, depth, height, width]);
      });
      try {
        for (const { members, volume, step } of groups) {
          const results = await step({ volumes: volumes[volume]! });
          for (const [k, { probabilities }] of results.entries()) {
            const values = (await probabilities.array()) as number[][];
            probabilities.dispose();
            batch.forEach((_, i) => (rows[first + i]![members[k]!] = values[i]!));
          }
        }
      } finally {
        for (const tensor of volumes) tensor.dispose();
      }
    }
    return rows;
  }

  async function answer(request: NetworkRequest): Promise<NetworkResults[NetworkRequest['kind']]> {
    if (request.kind === 'predict') return predict(request.scans, request.batchSize);
    if (request.kind === 'prepare')
      return prepareInMemory(request.scan, { preparations: preparation.volumes, networks });
    engine.close();
    return null;
  }

  // One request after the other, in the order in which they arrive.
  let last: Promise<unknown> = Promise.resolve();
  port.on('message', (request: NetworkRequest) => {
    last = last.then(async () => {
      const { id } = request;
      try {
        const result = await answer(request);
        const moved = request.kind === 'prepare' ? (result as NetworkResults['prepare']).volumes : [];
        send(
          { kind: 'result', id, result },
          moved.map(({ data }) => data.buffer as ArrayBuffer),
        );
      } catch (error) {
        send({ kind: 'error', id, error: sent(error) });
      }
      if (request.kind === 'close') port.close();
    });
  });
  return engine.description;
}

try {
  const [start] = (await once(port, 'message')) as [NetworkStart];
  send({ kind: 'opened', engine: await open(start) });
} catch (error) {
  send({ kind: 'not-opened', error: sent(error) });
  port.close();
}
