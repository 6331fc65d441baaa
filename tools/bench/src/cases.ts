// The cases of the benchmark: what each side does, what is reported of it, and the targets.
import { UserError } from '@ct-ensemble/core';
import type { Settings } from './settings.ts';

/**
 * What a case reports, each as a ratio. `step`, `first step` and `start` (from the start of the process to the end of its first
 * step) are times; their ratio is peer / here, above 1 if this project is faster. `peak RSS` and `GPU memory` are here / peer, below 1 if
 * this project needs less memory. On a GPU, every case with steps reports `GPU memory` instead of `peak RSS`.
 */
export type Quantity = 'step' | 'first step' | 'start' | 'peak RSS' | 'GPU memory';

/** The range of a ratio that meets the target. */
export interface Target {
  atLeast?: number;
  atMost?: number;
}

/** One comparison of this project (here) with its peer. */
export interface Case {
  name: string;
  /** Description for the report. */
  what: string;
  /** Whether it runs if no cases are named. */
  byDefault: boolean;
  here: Settings;
  peer: Settings;
  /** How often the sides take turns, and how many steps a turn has. */
  pairs: number;
  stepsPerTurn: number;
  /** What is reported, and the target of each. */
  reports: readonly { quantity: Quantity; target?: Target }[];
}

/** Settings that all cases of a run have in common, and settings of a case that options of the command line replace. */
export type Common = Pick<Settings, 'architecture' | 'depth' | 'views' | 'size' | 'device' | 'tf32'>;
export type Replacements = Partial<Pick<Settings, 'threads' | 'batch'>> & { pairs?: number };

interface Definition extends Partial<Omit<Case, 'here' | 'peer'>> {
  what: string;
  reports: Case['reports'];
  /** Settings of both sides, of this side, and of the peer that differ from the usual ones. */
  both?: Partial<Settings>;
  here?: Partial<Settings>;
  peer?: Partial<Settings>;
}

const usual = {
  library: 'own',
  task: 'train',
  members: 1,
  threads: 2,
  batch: 4,
  precision: 'float32',
  jit: false,
  compile: false,
  recompute: false,
} as const;

/** The case that trains one network. `size` in pixels. */
const network = (architecture: string, views: number[], size: number): Definition => {
  const depth = views.length === 0 ? 3 : views.reduce((sum, count) => sum + count);
  return {
    what: `${architecture} ${views.length === 0 ? 'on' : 'behind'} ${views.join(' + ') || depth}×${size}×${size} trains`,
    both: { architecture, views, depth, size },
    pairs: 8,
    reports: [{ quantity: 'step', target: { atLeast: 1 } }],
  };
};

const definitions: Record<string, Definition> = {
  'two-members': {
    what: 'two members train at once',
    both: { members: 2, threads: 1 },
    pairs: 10,
    stepsPerTurn: 3,
    reports: [{ quantity: 'step', target: { atLeast: 1.4 } }],
  },
  'one-member': {
    what: 'one member trains',
    reports: [{ quantity: 'step', target: { atLeast: 1.1 } }],
  },
  'one-member-16': {
    what: 'one member trains',
    both: { batch: 16 },
    pairs: 10,
    reports: [{ quantity: 'step', target: { atLeast: 1.1 } }],
  },
  mixed: {
    what: 'one member trains in mixed precision (PyTorch: autocast)',
    both: { precision: 'mixed' },
    reports: [{ quantity: 'step', target: { atLeast: 1 } }],
  },
  evaluation: {
    what: 'one member evaluates a batch',
    both: { task: 'evaluate' },
    reports: [{ quantity: 'step', target: { atLeast: 1 } }],
  },
  memory: {
    what: 'one member trains',
    both: { batch: 16 },
    pairs: 5,
    reports: [{ quantity: 'peak RSS', target: { atMost: 1 } }],
  },
  startup: {
    what: 'process start to first training step done',
    pairs: 4,
    reports: [{ quantity: 'start' }, { quantity: 'first step' }],
  },
  resnext50_32x4d: network('resnext50_32x4d', [], 224),
  inception_v3: network('inception_v3', [32, 16], 299),
  inception_v4: network('inception_v4', [32, 16], 299),
  inception_resnet_v2: network('inception_resnet_v2', [32, 16], 299),
  att_unet: network('att_unet', [], 224),
  compiled: {
    what: 'one member trains; peer: compiled by torch.compile',
    byDefault: false,
    both: { batch: 16 },
    peer: { compile: true },
    reports: [{ quantity: 'first step' }, { quantity: 'step' }],
  },
  xla: {
    what: 'one member trains, compiled by XLA; peer: not compiled',
    byDefault: false,
    here: { jit: true },
    peer: { library: 'own' },
    reports: [{ quantity: 'first step' }, { quantity: 'step' }],
  },
  recompute: {
    what: 'one member trains, dense layers recomputed in the backward pass; peer: kept',
    byDefault: false,
    both: { batch: 16 },
    here: { recompute: true },
    peer: { library: 'own' },
    pairs: 5,
    reports: [{ quantity: 'peak RSS' }, { quantity: 'step' }],
  },
};

/**
 * The named cases, in the order of this file; `names` undefined: those that run by default.
 * @throws {UserError} for an unknown name.
 */
export function chooseCases(
  names: readonly string[] | undefined,
  common: Common & Pick<Settings, 'weights' | 'volumes'>,
  { pairs, ...replaced }: Replacements,
): Case[] {
  const unknown = names?.find((name) => !Object.hasOwn(definitions, name));
  if (unknown !== undefined) {
    throw new UserError(`there is no case ${JSON.stringify(unknown)}`, {
      remedy: `choose from ${Object.keys(definitions).join(', ')}`,
    });
  }
  return Object.entries(definitions)
    .map(([name, { both, here, peer, ...rest }]) => ({
      name,
      byDefault: true,
      pairs: 20,
      stepsPerTurn: 1,
      ...rest,
      ...(pairs !== undefined && { pairs }),
      here: { ...usual, ...common, ...both, ...here, ...replaced },
      peer: { ...usual, ...common, ...both, library: 'pytorch' as const, ...peer, ...replaced },
    }))
    .filter(({ name, byDefault }) => (names === undefined ? byDefault : names.includes(name)));
}
