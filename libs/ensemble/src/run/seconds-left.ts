// How long running members still need, from the pace of their progress.
import type { Progress } from '@ct-ensemble/training';

/** Share of a training after which its pace says how long the rest takes; before, the first step weighs too much. */
const ENOUGH = 0.02;

export interface Paces {
  /** A member starts, or starts again. */
  started(member: string): void;
  progress(
    member: string,
    progress: Pick<Progress, 'kind' | 'epoch' | 'epochs' | 'step' | 'stepsPerEpoch'>,
  ): void;
  /** Seconds that the member still needs; undefined: not known yet. */
  secondsLeft(member: string): number | undefined;
}

/** @param now seconds, as a `Clock` tells them */
export function paces(now: () => number): Paces {
  /** Share of the training that was done at two moments: at the first progress of this attempt, and at the last one. */
  const seen = new Map<string, { first: { at: number; done: number }; last: { at: number; done: number } }>();
  return {
    started: (member) => void seen.delete(member),
    progress(member, { kind, epoch, epochs, step, stepsPerEpoch }) {
      // Epochs count from 1; what a member resumes from names the number of finished epochs.
      const done = ((kind === 'resumed' ? epoch : epoch - 1) + step / stepsPerEpoch) / epochs;
      const last = { at: now(), done };
      seen.set(member, { first: seen.get(member)?.first ?? last, last });
    },
    secondsLeft(member) {
      const pace = seen.get(member);
      if (pace === undefined) return undefined;
      const { first, last } = pace;
      if (last.done - first.done < ENOUGH) return undefined;
      const left = ((last.at - first.at) * (1 - last.done)) / (last.done - first.done);
      return Math.max(0, left - (now() - last.at));
    },
  };
}
