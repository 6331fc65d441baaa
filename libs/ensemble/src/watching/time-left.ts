// How long a run still takes, estimated from what its members have taken so far.

/** What the estimate needs to know of a member that is not done. */
export interface UnfinishedMember {
  architecture: string;
  /** Epochs that are left, the present one counted by its share. */
  epochsLeft: number;
  /** Mean over its finished epochs; null if none is known. */
  secondsPerEpoch: number | null;
  /** Its own estimate, if it is training. */
  secondsLeft: number | null;
}

export interface TimeLeftOptions {
  /** Members at work. */
  active: readonly UnfinishedMember[];
  /** Members that wait for a device. */
  waiting: readonly UnfinishedMember[];
  /** How many members train at the same time. */
  slots: number;
  /** Mean seconds of an epoch, by architecture, over all members that have trained. */
  secondsPerEpoch: ReadonlyMap<string, number>;
}

/**
 * Seconds until the last member ends: the waiting members go, longest first, to the slot that is free first. A member without
 * durations of its own is expected to take as long as others of its architecture, else as the mean of all. Null if nothing is
 * known.
 */
export function timeLeft({ active, waiting, slots, secondsPerEpoch }: TimeLeftOptions): number | null {
  if (active.length + waiting.length === 0) return 0;
  const known = [...secondsPerEpoch.values()];
  const mean = known.length === 0 ? null : known.reduce((sum, each) => sum + each, 0) / known.length;
  const expected = (member: UnfinishedMember) => {
    const each = member.secondsPerEpoch ?? secondsPerEpoch.get(member.architecture) ?? mean;
    return member.secondsLeft ?? (each === null ? null : each * member.epochsLeft);
  };
  const [atWork, queued] = [active.map(expected), waiting.map(expected)];
  if ([...atWork, ...queued].includes(null)) return null;
  const free = [...(atWork as number[])];
  while (free.length < Math.max(slots, 1)) free.push(0);
  for (const seconds of (queued as number[]).sort((a, b) => b - a)) {
    const first = free.indexOf(Math.min(...free));
    free[first]! += seconds;
  }
  return Math.max(...free);
}
