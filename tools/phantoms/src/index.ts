// Chest CT-like phantom scans from a seed: data sets that anyone may use and share.
export { makePhantoms, type PhantomOptions } from './make.ts';
