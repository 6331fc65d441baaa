// Chest CT-like phantom scans from a seed: a data set in the COV19-CT-DB layout that anyone may have and share.
export { makePhantoms, type PhantomOptions } from './make.ts';
