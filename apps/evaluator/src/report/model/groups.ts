// Scores by group (source, centre, sex …): where the ensemble is worse than on the whole.
import { scoreIntervals, scoresOf, selectScans } from '@ct-ensemble/evaluation';
import type { GroupReport } from './report-model.ts';
import { brief, type EvaluationOptions } from './rows.ts';
import { mainRowOf, type ScoredSplit } from './scored-split.ts';

/** With more values than this a column is not one of groups, but of names. */
const mostValues = 30;

/** A report for each group column that has at least two values among the scored scans. */
export function groupsOf(split: ScoredSplit, options: EvaluationOptions): GroupReport[] {
  const columns = [...new Set(split.scans.flatMap(({ groups }) => Object.keys(groups)))];
  return columns.flatMap((column) => {
    const valueOf = (i: number) => split.scans[i]!.groups[column] ?? '(not given)';
    const values = [...new Set(split.scans.map((_, i) => valueOf(i)))].sort();
    if (values.length < 2 || values.length > mostValues) return [];
    const p = mainRowOf(split).predictions;
    const scored = values.map((value) => {
      const part = selectScans(
        p,
        [...split.scans.keys()].filter((i) => valueOf(i) === value),
      );
      const { scores } = scoreIntervals(part, options);
      const all = scoresOf(part).absentInTruth.length === 0;
      return {
        value,
        scans: part.scans,
        patients: part.patientCount,
        // With a class missing in the truth, macro F1 counts it 0 and says nothing about the group.
        macroF1: all ? brief(scores.macroF1) : null,
        accuracy: brief(scores.accuracy),
      };
    });
    return [{ column, values: scored, words: worstWords(column, scored, scoresOf(p)) }];
  });
}

function worstWords(
  column: string,
  values: GroupReport['values'],
  whole: { macroF1: number | null; accuracy: number | null },
): string {
  const byF1 = values.every(({ macroF1 }) => macroF1 !== null);
  const score = (value: GroupReport['values'][number]) => (byF1 ? value.macroF1! : value.accuracy);
  const worst = values.reduce((a, b) => (score(b).estimate! < score(a).estimate! ? b : a));
  const { estimate, interval } = score(worst);
  const title = byF1 ? 'macro F1' : 'accuracy';
  const all = (byF1 ? whole.macroF1 : whole.accuracy)!;
  const range =
    interval === null
      ? 'no interval, as there is one patient only'
      : `95 % interval ${interval[0].toFixed(3)} to ${interval[1].toFixed(3)}`;
  const inside = interval === null || (interval[0] <= all && all <= interval[1]);
  return `The worst ${column} is ${worst.value}: ${title} ${estimate!.toFixed(3)} (${range}) on ${worst.scans} scans, against ${all.toFixed(3)} on all. ${
    inside
      ? 'The figure of all scans lies in this interval, so the difference may be chance.'
      : 'The figure of all scans lies outside this interval.'
  }${byF1 ? '' : ' Accuracy is compared, because not every group has scans of every class.'}`;
}
