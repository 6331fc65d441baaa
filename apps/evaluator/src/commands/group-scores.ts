// The scores by group of scans (centre, sex, scanner …) as the command line prints them.
import type { RunInput } from '../report/input/run-input.ts';
import { groupsOf } from '../report/model/groups.ts';
import type { GroupReport } from '../report/model/report-model.ts';
import { scoredSplit } from '../report/model/scored-split.ts';
import { splitTitles } from '../report/model/words.ts';

export interface GroupScores {
  split: RunInput['splits'][number]['split'];
  columns: GroupReport[];
}

/** The scores by group of each split, of the mean of most members; splits without groups are left out. */
export function groupScoresOf(input: RunInput): GroupScores[] {
  return input.splits.flatMap((each) => {
    const scored = scoredSplit(each, input.classes.length);
    const columns = scored === null ? [] : groupsOf(scored, {});
    return columns.length === 0 ? [] : [{ split: each.split, columns }];
  });
}

/** For each column a line a group, and a sentence about the worst. */
export function groupText({ split, columns }: GroupScores): string {
  return columns
    .map(({ column, values, words }) => {
      const rows = values.map(({ value, scans, patients, macroF1, accuracy }) => {
        const score = (each: typeof accuracy | null) =>
          each === null || each.estimate === null
            ? 'undefined'
            : `${each.estimate.toFixed(3)}${each.interval === null ? '' : ` (${each.interval.map((x) => x.toFixed(3)).join(' … ')})`}`;
        const counts = `${scans} scans of ${patients} patients`;
        return `  ${value}: ${counts}, macro F1 ${score(macroF1)}, accuracy ${score(accuracy)}`;
      });
      return [`${splitTitles[split]}: scores by ${column}, with 95 % intervals`, ...rows, words].join('\n');
    })
    .join('\n\n');
}
