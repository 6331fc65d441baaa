// Every pair of rows, compared; with many rows only the pairs that somebody will ask for.
import { type Comparison, compareRows, describeComparisons } from '@ct-ensemble/evaluation';
import type { ComparisonReport, SplitReport } from './report-model.ts';
import { brief, type EvaluationOptions } from './rows.ts';
import { type ScoredRow, type ScoredSplit, singlesOf } from './scored-split.ts';

/** So many rows are compared pair by pair; with more, Holm's correction would leave nothing to be found. */
const mostRows = 8;

export function comparisonsOf(split: ScoredSplit, options: EvaluationOptions): SplitReport['comparisons'] {
  const rows = comparedRows(split);
  if (rows.length < 2) {
    return { rows: rows.map(({ name }) => name), notes: ['There is one row only, so nothing is compared.'], words: [], pairs: [] }; // prettier-ignore
  }
  const pairs = compareRows(rows, options);
  const left = split.rows.length - rows.length;
  return {
    rows: rows.map(({ name }) => name),
    notes: [
      'Two rows of the same scans share many errors, so their own intervals say little about their difference. The interval here is that of the difference, by the bootstrap over patients with the same resamples for both; the p-value is that of the swap test over patients.',
      ...(left > 0
        ? [
            `Only ${rows.length} of ${split.rows.length} rows are compared: the ensembles of most members, then the others in the order of the recipe. Comparing all pairs would need a correction that leaves nothing to be found.`,
          ]
        : []),
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

function comparedRows(split: ScoredSplit): ScoredRow[] {
  if (split.rows.length <= mostRows) return split.rows;
  const ensembles = split.rows
    .filter(({ kind }) => kind === 'ensemble')
    .toSorted((a, b) => b.members.length - a.members.length);
  const chosen = new Set([...ensembles, ...singlesOf(split)].slice(0, mostRows));
  return split.rows.filter((row) => chosen.has(row));
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
