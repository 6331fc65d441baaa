// Compares the results of trainings: to the byte, or within a relative tolerance of the losses.
import type { Trained } from './member-worker.ts';

/**
 * Compares each training of `left` with `right`; returns one line for each that differs. With a tolerance only the losses are
 * compared, |left − right| ≤ tolerance · |right|; without one losses and weights must be equal.
 */
export function differences(left: readonly Trained[], right: Trained, tolerance?: number): string[] {
  return left.flatMap((trained, i) => {
    const who = `member ${i} (${trained.description}) and ${right.description}`;
    const bad = [...trained.losses, ...right.losses].find((loss) => !Number.isFinite(loss));
    if (bad !== undefined) return [`${who}: a loss is ${bad}`];
    if (trained.losses.length !== right.losses.length) {
      return [`${who}: ${trained.losses.length} and ${right.losses.length} steps`];
    }
    const far = (loss: number, other: number) =>
      tolerance === undefined ? loss !== other : Math.abs(loss - other) > tolerance * Math.abs(other);
    const at = trained.losses.findIndex((loss, step) => far(loss, right.losses[step]!));
    if (at >= 0)
      return [`${who}: the losses of step ${at + 1} are ${trained.losses[at]} and ${right.losses[at]}`];
    if (tolerance === undefined && trained.weights !== right.weights) return [`${who}: the weights differ`];
    return [];
  });
}
