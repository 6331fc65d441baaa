// The comparisons: what each side does, what is told of it, and the targets.
import { UserError } from '@ct-ensemble/core';
import type { Settings } from './settings.ts';

/**
 * What a case tells, each as a ratio: `step`, `first step` and `start` (from the process's start to the first step
 * done) are times, peer / here, above 1 where we are faster; `peak RSS` is here / peer, below 1 where we need less.
 */
export type Quantity = 'step' | 'first step' | 'start' | 'peak RSS';

export interface Target {
  atLeast?: number;
  atMost?: number;
}

export interface Case {
  name: string;
  /** For a person. */
  what: string;
  byDefault: boolean;
  here: Settings;
  peer: Settings;
  /** How often the sides take turns, and how many steps a turn has. */
  pairs: number;
  stepsPerTurn: number;
  tells: readonly { quantity: Quantity; target?: Target }[];
}

/** What holds for all cases of a run, and what of a case its options replace. */
export type Common = Pick<Settings, 'architecture' | 'depth' | 'views' | 'size' | 'device' | 'tf32'>;
export type Replacements = Partial<Pick<Settings, 'threads' | 'batch'>> & { pairs?: number };

interface Definition extends Partial<Omit<Case, 'here' | 'peer'>> {
  what: string;
  tells: Case['tells'];
  /** What both sides are told beyond the usual. */
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
  recompute: false,
} as const;

/** A training step of one network of the two systems. */
const network = (architecture: string, views: number[], size: number): Definition => {
  const depth = views.length === 0 ? 3 : views.reduce((sum, count) => sum + count);
  return {
    what: `${architecture} ${views.length === 0 ? 'on' : 'behind'} ${views.join(' + ') || depth}×${size}×${size} trains`,
    both: { architecture, views, depth, size },
    pairs: 8,
    tells: [{ quantity: 'step', target: { atLeast: 1 } }],
  };
};

const definitions: Record<string, Definition> = {
  'two-members': {
    what: 'two members train at once',
    both: { members: 2, threads: 1 },
    pairs: 10,
    stepsPerTurn: 3,
    tells: [{ quantity: 'step', target: { atLeast: 1.4 } }],
  },
  'one-member': {
    what: 'one member trains',
    tells: [{ quantity: 'step', target: { atLeast: 1.1 } }],
  },
  'one-member-16': {
    what: 'one member trains',
    both: { batch: 16 },
    pairs: 10,
    tells: [{ quantity: 'step', target: { atLeast: 1.1 } }],
  },
  mixed: {
    what: 'one member trains in mixed precision (PyTorch: autocast)',
    both: { precision: 'mixed' },
    tells: [{ quantity: 'step', target: { atLeast: 1 } }],
  },
  evaluation: {
    what: 'one member evaluates a batch',
    both: { task: 'evaluate' },
    tells: [{ quantity: 'step', target: { atLeast: 1 } }],
  },
  memory: {
    what: 'one member trains',
    both: { batch: 16 },
    pairs: 5,
    tells: [{ quantity: 'peak RSS', target: { atMost: 1 } }],
  },
  startup: {
    what: 'process start to first training step done',
    pairs: 4,
    tells: [{ quantity: 'start' }, { quantity: 'first step' }],
  },
  resnext50_32x4d: network('resnext50_32x4d', [], 224),
  inception_v3: network('inception_v3', [32, 16], 299),
  inception_v4: network('inception_v4', [32, 16], 299),
  inception_resnet_v2: network('inception_resnet_v2', [32, 16], 299),
  att_unet: network('att_unet', [], 224),
  xla: {
    what: 'one member trains, compiled by XLA; peer: not compiled',
    byDefault: false,
    here: { jit: true },
    peer: { library: 'own' },
    tells: [{ quantity: 'first step' }, { quantity: 'step' }],
  },
  recompute: {
    what: 'one member trains, dense layers computed anew in the backward pass; peer: kept',
    byDefault: false,
    both: { batch: 16 },
    here: { recompute: true },
    peer: { library: 'own' },
    pairs: 5,
    tells: [{ quantity: 'peak RSS' }, { quantity: 'step' }],
  },
};

/**
 * The named cases, in the order of this file; without names those that run by default.
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
