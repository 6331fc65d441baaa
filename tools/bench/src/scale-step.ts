// Child process of scale.ts: one thing that is measured, by its name and its settings as JSON. What it prints is reported.
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

const steps: Record<string, (settings: StepSettings) => Promise<string>> = {
  start: () => Promise.resolve(''),
  index: async (settings) => `${(await indexOf(settings)).scans.length} scans`,
  'index-and-split': async (settings) => `${(await indexOf(settings, false)).scans.length} scans`,
  prepare,
  async guard({ scans }) {
    const list = Array.from({ length: scans }, (_, i): StoredScan => {
      const key = `scan-${i}`;
      return { key, name: key, label: 0, split: 'train', volume: key, failure: null, slices: 1, kept: 1 };
    });
    const findings = await guardSplits({
      root: '.',
      scans: list,
      allow: false,
      fingerprint: ({ key }) => {
        const random = randomStream({ seed: 1, purpose: 'scale', sample: key });
        const words = Array.from({ length: FINGERPRINT_WORDS }, () =>
          random.bits().toString(16).padStart(8, '0'),
        );
        return Promise.resolve(words.join(''));
      },
    });
    return `${findings.length} findings`;
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
const settings = JSON.parse(json) as StepSettings;
print(
  await steps[name]!({
    ...settings,
    run: settings.run,
    store: settings.store || join(settings.data, 'volumes'),
  }),
);
