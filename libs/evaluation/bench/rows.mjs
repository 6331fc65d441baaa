// Predictions of the benchmark, drawn from random numbers: they favour the true class.
import { randomStream } from '@ct-ensemble/core';

export function rows(scans, classes, sample) {
  const random = randomStream({ seed: 1, purpose: 'bench', sample });
  const labels = Array.from({ length: scans }, (_, i) => i % classes);
  const probabilities = labels.map((label) => {
    const row = Array.from({ length: classes }, (_, k) =>
      Math.exp(random.normal() + (k === label ? 1.2 : 0)),
    );
    const sum = row.reduce((a, b) => a + b);
    return row.map((x) => x / sum);
  });
  return { classes, labels, probabilities };
}
