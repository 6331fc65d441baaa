// Comparisons of rows: of few rows every pair; of many rows each with the mean of most members.
import { type Comparison, compareRows, describeComparisons } from '@ct-ensemble/evaluation';
import type { ComparisonReport, SplitReport } from './report-model.ts';
import { brief, type EvaluationOptions } from './rows.ts';
import { mainRowOf, type ScoredSplit } from './scored-split.ts';

/** So many rows are compared pair by pair. Of more there are so many pairs that Holm's correction leaves little to be found. */
const mostRows = 8;

export function comparisonsOf(split: ScoredSplit, options: EvaluationOptions): SplitReport['comparisons'] {
  const { rows } = split;
  if (rows.length < 2)
    return { against: null, notes: ['There is one row only, so nothing is compared.'], words: [], pairs: [] };
  const main = mainRowOf(split);
  const against = rows.length > mostRows ? main : null;
  const pairs = compareRows(rows, {
    ...options,
    ...(against !== null && { against: rows.indexOf(against) }),
  });
  const all = (rows.length * (rows.length - 1)) / 2;
  return {
    against: against?.name ?? null,
    notes: [
      against === null
        ? `All ${rows.length} rows are compared with each other: ${pairs.length === 1 ? '1 pair' : `${pairs.length} pairs`}.`
        : `Each of the other ${pairs.length} rows is compared with ${against.name}, the mean of most members. The ${rows.length} rows would make ${all} pairs; the other ${all - pairs.length} pairs are not tested, because a correction for so many comparisons would leave little to be found.`,
      'Two rows of the same scans share many errors, so their own intervals say little about their difference. The interval here is that of the difference, by the bootstrap over patients with the same resamples for both; the p-value is that of the swap test over patients.',
      ...(pairs[0]!.scansSharePatients
        ? [
            'Some patients have several scans. DeLong and McNemar take scans as independent, so their p-values are too small here.',
          ]
        : []),
    ],
    words: describeComparisons(pairs),
    pairs: pairs.map(comparisonReport),
  };
}

function comparisonReport(c: Comparison): ComparisonReport {
  const difference = c.differences[c.score];
  return {
    a: c.a,
    b: c.b,
    difference: brief(difference),
    bootstrapP: difference.bootstrapP,
    swapP: c.swapP,
    adjustedP: c.adjustedP,
    mcnemar: c.mcnemar,
    delong: c.delong,
    distinguishable: c.distinguishable,
    words: c.words,
  };
}
