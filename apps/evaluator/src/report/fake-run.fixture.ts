// A run as plain values, drawn from random numbers: members that are right more often than not, and names that look like markup.
import { randomStream } from '@ct-ensemble/core';
import type { RowInput, RunInput, ScanInput, SplitInput } from './input/run-input.ts';

export interface FakeRunOptions {
  scans?: number;
  members?: number;
  classes?: readonly string[];
  splits?: readonly SplitInput['split'][];
  folds?: number;
  /** Put at the end of every name. */
  mark?: string;
}

export function fakeRun(options: FakeRunOptions = {}): RunInput {
  const {
    scans: count = 60,
    members: memberCount = 3,
    classes = ['non-covid', 'covid'],
    mark = '',
  } = options;
  const splits = options.splits ?? ['val'];
  const names = Array.from({ length: memberCount }, (_, i) => `member-${i + 1}${mark}`);
  return {
    run: `a run${mark}`,
    recipe: { name: `fake${mark}`, description: `A recipe of no run${mark}.`, text: `name: fake${mark}\n` },
    task: null,
    asInPaper: false,
    classes: classes.map((name) => `${name}${mark}`),
    positive: classes.length === 2 ? 1 : null,
    dataset: {
      root: `data${mark}`,
      layout: 'fake',
      splits: `Splits${mark}.`,
      counts: [{ split: 'val', perClass: classes.map(() => count), unlabelled: 0, failed: 0 }],
      findings: [{ kind: `kind${mark}`, path: `path${mark}`, message: `message${mark}` }],
    },
    members: names.map((name, i) => ({
      name,
      architecture: `net${mark}`,
      seed: i,
      fold: null,
      state: 'done',
      problem: null,
      device: `cpu:1${mark}`,
      engine: `TensorFlow${mark}`,
      node: 'v20',
      epochs: Array.from({ length: 12 }, (_, epoch) => ({
        epoch: epoch + 1,
        learningRate: 1e-3,
        loss: 1 / (epoch + 2 + i),
        macroF1: 1 - 1 / (epoch + 3 + i),
        seconds: 2,
      })),
      bestEpoch: 12,
    })),
    splits: splits.map((split) => fakeSplit(split, { count, names, options, classes: classes.length })),
    submissions: [{ name: `all${mark}`, members: names, choice: null, missing: [] }],
    augmentation: [],
    findings: [`finding${mark}`],
    versions: [`Versions${mark}.`],
  };
}

function fakeSplit(
  split: SplitInput['split'],
  about: { count: number; names: readonly string[]; options: FakeRunOptions; classes: number },
): SplitInput {
  const { count, names, options, classes } = about;
  const { mark = '', folds = 5 } = options;
  const random = randomStream({ seed: 4, purpose: `fake ${split}` });
  const scans = Array.from({ length: count }, (_, i): ScanInput => ({
    key: `${split}/scan_${i}${mark}`,
    label: random.integer(classes),
    patient: `P${i >> 1}`,
    fold: split === 'out-of-fold' ? (i >> 1) % folds : null,
    groups: { [`centre${mark}`]: i % 4 < 2 ? `A${mark}` : 'B' },
    failure: i === 3 ? `unreadable${mark}` : null,
  }));
  const rows = names.map((name): RowInput => ({
    name,
    kind: split === 'out-of-fold' ? 'group' : 'member',
    members: [name],
    submissions: [],
    probabilities: scans.map(({ label, failure }) => {
      const raw = Array.from({ length: classes }, (_, k) =>
        Math.exp(3 * random.uniform() + (k === label ? 1.2 : 0)),
      );
      const sum = raw.reduce((a, b) => a + b);
      return failure === null ? raw.map((value) => value / sum) : null;
    }),
  }));
  const mean = (some: readonly RowInput[]) =>
    scans.map((_, i) =>
      scans[i]!.failure === null
        ? Array.from(
            { length: classes },
            (__, k) => some.reduce((sum, row) => sum + row.probabilities[i]![k]!, 0) / some.length,
          )
        : null,
    );
  const ensemble: RowInput = {
    name: `mean of all${mark}`,
    kind: 'ensemble',
    members: [...names],
    submissions: [`all${mark}`],
    probabilities: mean(rows),
  };
  return { split, scans, rows: rows.length > 1 ? [...rows, ensemble] : rows };
}
