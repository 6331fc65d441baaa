// Chest CT-like phantom scans from a seed.
export {};
