// Reference values that lie in this package.
import { readJson } from '@ct-ensemble/core';
import { fileURLToPath } from 'node:url';
import type { Golden } from '../goldens.ts';

export type StateDict = Record<string, number[]>;

const read = (name: string) => readJson(fileURLToPath(new URL(`../fixtures/${name}.json`, import.meta.url)));

export async function readFixture(net: string) {
  return (await read(net)) as Golden & { stateDict: StateDict };
}

/** By network: how it was built, its trainable parameters, its names and shapes. */
export async function readStateDicts() {
  return (await read('state-dicts')) as Record<
    string,
    { views: number[]; classes: number; parameters: number; stateDict: StateDict }
  >;
}
