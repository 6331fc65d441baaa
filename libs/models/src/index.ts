// Network architectures, their registry and their weights.
export {};
