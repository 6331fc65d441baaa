// For tests: the folder of a run with files written by hand, as a coordinator and its workers leave them.
import { mkdir, mkdtemp, rename, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Plan, parseRecipe } from '@ct-ensemble/ensemble';
import { recipeOf } from './train.ts';

export interface MadeRun {
  run: string;
  /** Finished epochs with these losses; macro F1 is 1 − loss, every epoch takes 10 s. */
  history(member: string, losses: readonly number[]): Promise<void>;
  progress(member: string, fields?: object): Promise<void>;
  coordinator(fields?: object): Promise<void>;
  file(member: string, name: string, content: string): Promise<void>;
}

export const planOf = (members: readonly string[], epochs = 4): Plan => ({
  version: 1,
  recipe: {
    ...parseRecipe(recipeOf({ epochs, edge: 16 }), 'test'),
    members: members.map((name, i) => ({ name, architecture: 'densenet_small', seed: i, pretrained: false })),
    submissions: [{ name: 'all', members: [...members] }],
  },
  dataset: {
    root: '/data',
    layout: 'folders',
    labels: null,
    splits: 'data',
    classes: ['covid', 'non-covid'],
    scans: { train: 8, val: 4, test: 2 },
    digest: '',
  },
  engine: 'tensorflow',
  devices: ['cpu:1', 'cpu:1'],
  members: members.map((name, i) => ({
    name,
    architecture: i % 2 === 0 ? 'densenet_small' : 'resnet18',
    seed: i,
    pretrained: false,
    views: [{ depth: 8, height: 16, width: 16 }],
    device: 'cpu:1',
  })),
  retired: [],
});

export async function madeRun(members: readonly string[]): Promise<MadeRun> {
  const run = await mkdtemp(join(tmpdir(), 'ct-ensemble-made-'));
  /** Readers never see a part of a file. */
  const write = async (file: string, content: string) => {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(`${file}.new`, content);
    await rename(`${file}.new`, file);
  };
  const inMember = (member: string, name: string) => join(run, 'members', member, name);
  const now = () => new Date().toISOString();
  const self = { pid: process.pid, host: hostname(), isolation: 'thread' };
  await write(join(run, 'plan.json'), JSON.stringify(planOf(members)));
  return {
    run,
    file: (member, name, content) => write(inMember(member, name), content),
    history: (member, losses) =>
      write(
        inMember(member, 'history.jsonl'),
        losses
          .map((loss, epoch) => ({
            epoch,
            learningRate: 0.001,
            loss,
            macroF1: 1 - loss,
            seconds: 10,
            waited: 0,
          }))
          .map((line) => `${JSON.stringify(line)}\n`)
          .join(''),
      ),
    progress: (member, fields) =>
      write(
        inMember(member, 'progress.json'),
        JSON.stringify({
          version: 1,
          ...self,
          state: 'training',
          attempt: 1,
          device: 'cpu:1',
          startedAt: now(),
          updatedAt: now(),
          epoch: 1,
          epochs: 4,
          step: 5,
          stepsPerEpoch: 10,
          loss: 0.7,
          macroF1: null,
          best: null,
          secondsPerStep: 1,
          secondsLeft: 15,
          samplesPerSecond: 4,
          peakMemoryBytes: 2 ** 30,
          accumulate: 1,
          message: null,
          ...fields,
        }),
      ),
    coordinator: (fields) =>
      write(
        join(run, 'coordinator.json'),
        JSON.stringify({
          version: 1,
          ...self,
          startedAt: now(),
          updatedAt: now(),
          state: 'running',
          devices: [],
          waiting: [],
          ...fields,
        }),
      ),
  };
}
