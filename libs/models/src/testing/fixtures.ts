// Reads the reference values that are recorded in src/fixtures.
import { readJson } from '@ct-ensemble/core';
import { fileURLToPath } from 'node:url';
import { readGoldens, type Golden } from '../goldens.ts';

/** For each name of a PyTorch state dict the shape of its tensor. */
export type StateDict = Record<string, number[]>;

const pathOf = (name: string) => fileURLToPath(new URL(`../fixtures/${name}.json`, import.meta.url));

/** What PyTorch computes for the small variant of every architecture, and the seed of weights and inputs. */
export async function readSmallGoldens() {
  return (await readGoldens(pathOf('small-goldens')))!;
}

/** The seed and the reference values of one small network. */
export async function readSmallGolden(net: string): Promise<{ seed: string; golden: Golden }> {
  const { seed, nets } = await readSmallGoldens();
  return { seed, golden: nets[net]! };
}

/** By network: its options, its number of trainable parameters, and the names and shapes of its state dict in PyTorch. */
export async function readStateDicts() {
  return (await readJson(pathOf('state-dicts'))) as Record<
    string,
    { views: number[]; classes: number; parameters: number; stateDict: StateDict }
  >;
}
