// Command line: trains all members of an ensemble.
export {};
