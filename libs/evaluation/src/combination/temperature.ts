// Temperature scaling of the probabilities (Guo et al., ICML 2017): one number that makes them more or less certain and changes no
// predicted class.
import { type Predictions, withProbabilities } from '../predictions.ts';

const { exp, log, max } = Math; // looked up once: slow under Jest

/** Bounds of the temperature, and the least probability whose logarithm is taken. */
export const temperatureBounds = { low: 0.05, high: 20 } as const;
const floor = 1e-12;

export interface FittedTemperature {
  /** T in [0.05, 20]: above 1 the probabilities were too certain, below 1 too unsure. */
  temperature: number;
  logLossBefore: number;
  logLossAfter: number;
  /** True if T is one of the bounds: the log loss has no minimum inside. */
  atBound: boolean;
}

/** The temperature with the least log loss: the loss is convex in 1/T, and its derivative is bisected to the last bits. */
export function fitTemperature(p: Predictions): FittedTemperature {
  const logits = p.probabilities.map((value) => log(max(value, floor)));
  const at = (beta: number) => lossAt(p, logits, beta);
  let low = 1 / temperatureBounds.high;
  let high = 1 / temperatureBounds.low;
  let temperature: number;
  if (at(low).slope >= 0) temperature = temperatureBounds.high;
  else if (at(high).slope <= 0) temperature = temperatureBounds.low;
  else {
    for (let step = 0; step < 100 && high - low > 1e-16 * high; step++) {
      const middle = (low + high) / 2;
      if (at(middle).slope < 0) low = middle;
      else high = middle;
    }
    temperature = 2 / (low + high);
  }
  return {
    temperature,
    logLossBefore: at(1).loss,
    logLossAfter: at(1 / temperature).loss,
    atBound: temperature === temperatureBounds.low || temperature === temperatureBounds.high,
  };
}

/** softmax(ln p / T) of each row, ln p clipped at 1e-12. */
export function applyTemperature(p: Predictions, temperature: number): Predictions {
  const { classes } = p;
  const scaled = p.probabilities.map((value) => log(max(value, floor)) / temperature);
  for (let start = 0; start < scaled.length; start += classes) {
    const row = scaled.subarray(start, start + classes);
    const most = row.reduce((a, b) => max(a, b));
    let sum = 0;
    for (let k = 0; k < classes; k++) sum += row[k] = exp(row[k]! - most);
    for (let k = 0; k < classes; k++) row[k]! /= sum;
  }
  return withProbabilities(p, scaled);
}

/** Mean log loss of softmax(β·logits), and its derivative by β. */
function lossAt(
  { labels, classes }: Predictions,
  logits: Float64Array,
  beta: number,
): { loss: number; slope: number } {
  let loss = 0;
  let slope = 0;
  labels.forEach((label, i) => {
    const start = i * classes;
    let most = -Infinity;
    for (let k = 0; k < classes; k++) most = max(most, logits[start + k]!);
    let sum = 0;
    let mean = 0;
    for (let k = 0; k < classes; k++) {
      const share = exp(beta * (logits[start + k]! - most));
      sum += share;
      mean += share * logits[start + k]!;
    }
    loss += log(sum) - beta * (logits[start + label]! - most);
    slope += mean / sum - logits[start + label]!;
  });
  return { loss: loss / labels.length, slope: slope / labels.length };
}
