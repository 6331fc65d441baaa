// Scans in, volumes out: index, preparation, store, batches.
export {};
