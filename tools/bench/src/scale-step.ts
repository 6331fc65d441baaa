// Child process of scale.ts: one thing that is measured, by its name and its settings as JSON. What it prints is reported.
import { createHash } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { print, randomStream } from '@ct-ensemble/core';
import {
  guardSplits,
  openVolumeStore,
  prepareDataset,
  readDatasetIndex,
  type StoredScan,
} from '@ct-ensemble/data';
import {
  evaluateResults,
  type MemberPlan,
  planFile,
  prepareRun,
  preparationsOf,
  readPlan,
  readRunResults,
  readScans,
  runReader,
} from '@ct-ensemble/ensemble';
import { makeMembers, makeProbabilities, scaleRecipe } from './scale-data.ts';

/** Settings of all steps; each uses some of them. */
export interface StepSettings {
  /** Folder of the data set. */
  data: string;
  /** Table of scans; absent: folders named by split and class. */
  labels?: string;
  store: string;
  run: string;
  scans: number;
  members: number;
}

const split = { val: 0.2, test: 0.2, seed: 1 };

const indexOf = ({ data, labels }: StepSettings, isSplit = true) =>
  readDatasetIndex(data, {
    layout: labels === undefined ? 'folders' : 'table',
    ...(labels !== undefined && { table: { file: labels } }),
    ...(!isSplit && { split }),
  });

const prepare = async (settings: StepSettings) => {
  const [{ preparation }] = preparationsOf(scaleRecipe(1)) as [ReturnType<typeof preparationsOf>[number]];
  const index = await indexOf(settings);
  let fresh = 0;
  const { scans } = await prepareDataset({
    index,
    preparations: [preparation],
    store: openVolumeStore(settings.store),
    onProgress: (progress) => (fresh = progress.fresh),
  });
  const failed = scans[0]!.find(({ failure }) => failure !== null);
  if (failed) throw new Error(`${failed.key}: ${failed.failure}`);
  return `${fresh} of ${scans[0]!.length} prepared`;
};

/** Fingerprints of volumes of at least 32 × 32 pixels have 3844 bits, in words of 32. */
const FINGERPRINT_WORDS = 121;

function randomFingerprint(sample: string): string {
  const random = randomStream({ seed: 1, purpose: 'scale', sample });
  const word = () => random.bits().toString(16).padStart(8, '0');
  return Array.from({ length: FINGERPRINT_WORDS }, word).join('');
}

/**
 * Fills the store as a preparation does, without preparing: one scan is prepared, and its files are copied for all others, with
 * random fingerprints of full length. Whether the store takes the copies for volumes of the scans is measured, not assumed.
 */
async function makeStore({ data, store }: StepSettings, files: readonly string[]) {
  const [{ preparation }] = preparationsOf(scaleRecipe(1)) as [ReturnType<typeof preparationsOf>[number]];
  const scan = {
    key: 'first',
    name: 'first',
    split: 'train',
    label: 0,
    format: 'nifti',
    patient: null,
  } as const;
  const first = { ...scan, group: null, failure: null, slices: [join(data, files[0]!)] };
  const { stored } = await openVolumeStore(store).prepare(first, { preparation, networks: {} });
  const volume = readFileSync(join(store, `${stored.volume}.npy`));
  const record = JSON.parse(readFileSync(join(store, `${stored.volume}.json`), 'utf8')) as {
    preparation: object;
  };
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const stateOf = (file: string) => {
    const { size, mtimeMs, ctimeMs } = statSync(file);
    return [size, mtimeMs, ctimeMs];
  };
  for (const name of files.slice(1)) {
    const file = join(data, name);
    const key = sha256(name);
    const [npy, json] = [join(store, `${key}.npy`), join(store, `${key}.json`)];
    writeFileSync(npy, volume);
    writeFileSync(json, JSON.stringify({ ...record, fingerprint: randomFingerprint(name) }, null, 2));
    const seen = `${sha256(JSON.stringify([record.preparation, [file]]))}.json`;
    const state = { files: [stateOf(file)], volume: key, stored: stateOf(npy) };
    writeFileSync(join(store, 'seen', seen), JSON.stringify(state, null, 2));
  }
}

const steps: Record<string, (settings: StepSettings) => Promise<string>> = {
  start: () => Promise.resolve(''),
  index: async (settings) => `${(await indexOf(settings)).scans.length} scans`,
  'index-and-split': async (settings) => `${(await indexOf(settings, false)).scans.length} scans`,
  prepare,
  async recall(settings) {
    const printed = await prepare(settings);
    if (!printed.startsWith('0 of ')) throw new Error(`the store does not have all volumes: ${printed}`);
    return printed;
  },
  async guard({ scans }) {
    const list = Array.from({ length: scans }, (_, i): StoredScan => {
      const key = `scan-${i}`;
      return { key, name: key, label: 0, split: 'train', volume: key, failure: null, slices: 1, kept: 1 };
    });
    const findings = await guardSplits({
      root: '.',
      scans: list,
      allow: false,
      fingerprint: ({ key }) => Promise.resolve(randomFingerprint(key)),
    });
    return `${findings.length} findings`;
  },
  async 'make-store'(settings) {
    const rows = readFileSync(settings.labels!, 'utf8').trimEnd().split('\n').slice(1);
    await makeStore(
      settings,
      rows.map((row) => row.slice(0, row.indexOf(','))),
    );
    return '';
  },
  /** What all-members does before it trains, when the store has all volumes. */
  async 'prepare-run'({ data, labels, store, run, members }) {
    const { state } = await prepareRun({
      data,
      ...(labels !== undefined && { labels }),
      recipe: scaleRecipe(members),
      run,
      devices: 'cpu:1',
      engine: 'cpu',
      store,
    });
    return state;
  },
  async 'make-members'({ run }) {
    makeMembers(run, await readPlan(run));
    return planFile(run);
  },
  async 'make-probabilities'({ run }) {
    const plan = await readPlan(run);
    makeProbabilities(run, plan, await readScans(run, plan.members[0]!.name));
    return '';
  },
  async 'member-start'({ run }) {
    const { members } = await readPlan(run);
    const [{ name }] = members as [MemberPlan];
    return `${(await readScans(run, name)).length} scans`;
  },
  async status({ run }) {
    const { counts } = await runReader(run).status();
    return JSON.stringify(counts);
  },
  /** As the dashboard: a state each second. The first one reads everything. */
  async 'status-11-times'({ run }) {
    const reader = runReader(run);
    for (let i = 0; i < 11; i++) {
      const { members } = await reader.status();
      await Promise.all(members.map(({ name }) => reader.history(name)));
    }
    return '';
  },
  async evaluate({ run }) {
    const results = await readRunResults(run);
    const { val } = await evaluateResults(run, results);
    return `${val!.subsets.length} subsets`;
  },
};

const [name, json] = process.argv.slice(2) as [string, string];
print(await steps[name]!(JSON.parse(json) as StepSettings));
