// Greedy ensemble selection with replacement (Caruana et al., ICML 2004).
import type { Predictions } from '../predictions.ts';
import { leastProbability } from '../scores/probability-losses.ts';
import { addTo, checkMembers, divided } from './mean.ts';

const { abs, log, max, min } = Math; // looked up once: slow under Jest

export type GreedyLoss = 'macroF1' | 'logLoss';

export interface GreedyOptions {
  /** What each round minimises: 1 − macro F1 (the default), or the log loss. */
  loss?: GreedyLoss;
  /** Default 25. */
  rounds?: number;
}

export interface GreedySelection {
  /** The member chosen in each round, [rounds]. */
  order: number[];
  /** Loss of the mean of the members chosen so far, [rounds]. */
  losses: number[];
  /** Length of the shortest prefix with the least loss (equal within 1e-12), which is kept. */
  kept: number;
  /** Share of each member in that prefix, [members]. */
  weights: number[];
}

/**
 * Each round adds the member whose addition gives the mean the least loss; a member may be chosen again. Losses within 1e-12 count as
 * equal; then a member that is already chosen goes first, then the lower log loss, then the lower index.
 */
export function greedySelection(
  members: readonly Predictions[],
  options: GreedyOptions = {},
): GreedySelection {
  const first = checkMembers(members);
  const rounds = options.rounds ?? 25;
  const lossOf = (options.loss ?? 'macroF1') === 'macroF1' ? macroF1Loss : logLossLoss;
  const sum = new Float64Array(first.probabilities.length);
  const order: number[] = [];
  const losses: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    const step = { sum, count: round, labels: first.labels, classes: first.classes };
    const candidates = members.map(({ probabilities }) => lossOf(step, probabilities));
    const chosen = breakTies({ candidates, order }, (m) => logLossLoss(step, members[m]!.probabilities));
    order.push(chosen);
    losses.push(candidates[chosen]!);
    addTo(sum, members[chosen]!.probabilities);
  }
  const kept = losses.findIndex(atLeast(min(...losses))) + 1;
  const counts = new Float64Array(members.length);
  for (const member of order.slice(0, kept)) counts[member]! += 1;
  return { order, losses, kept, weights: [...divided(counts, kept)] };
}

/** Whether a loss equals the least one within 1e-12. */
const atLeast = (least: number) => (loss: number) => loss <= least + 1e-12 * max(1, abs(least));

function breakTies(
  { candidates, order }: { candidates: number[]; order: number[] },
  logLoss: (member: number) => number,
): number {
  const best = atLeast(min(...candidates));
  let tied = candidates.flatMap((loss, m) => (best(loss) ? [m] : []));
  const again = tied.filter((m) => order.includes(m));
  if (again.length > 0) tied = again;
  if (tied.length === 1) return tied[0]!;
  const logLosses = tied.map(logLoss);
  const least = atLeast(min(...logLosses));
  return tied.find((_, i) => least(logLosses[i]!))!;
}

/** The members chosen so far (sum of their probabilities), and how many there are with one more. */
interface Step {
  sum: Float64Array;
  count: number;
  labels: Int32Array;
  classes: number;
}

function logLossLoss({ sum, count, labels, classes }: Step, added: Float64Array): number {
  let loss = 0;
  for (let i = 0; i < labels.length; i++) {
    const at = i * classes + labels[i]!;
    loss -= log(max((sum[at]! + added[at]!) / count, leastProbability));
  }
  return loss / labels.length;
}

function macroF1Loss({ sum, count, labels, classes }: Step, added: Float64Array): number {
  const right = new Float64Array(classes);
  const either = new Float64Array(classes); // in truth + in prediction
  for (let i = 0; i < labels.length; i++) {
    let answer = 0;
    let most = -1;
    for (let k = 0; k < classes; k++) {
      const value = (sum[i * classes + k]! + added[i * classes + k]!) / count;
      if (value > most) {
        most = value;
        answer = k;
      }
    }
    const label = labels[i]!;
    either[label]! += 1;
    either[answer]! += 1;
    if (answer === label) right[label]! += 1;
  }
  let f1 = 0;
  for (let k = 0; k < classes; k++) f1 += either[k] === 0 ? 0 : (2 * right[k]!) / either[k]!;
  return 1 - f1 / classes;
}
