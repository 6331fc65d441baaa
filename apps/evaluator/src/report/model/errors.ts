// The errors of the main row, the surest first, and the scans whose slices are shown: a few of every kind, as in figure 3 of the paper.
import type { PictureGroup, ShownScan } from './report-model.ts';
import { answersOf, mainRowOf, type ScoredSplit } from './scored-split.ts';

const picturesEach = 4;
const mostPictureGroups = 16;

export function errorsOf(split: ScoredSplit): ShownScan[] {
  return shown(split)
    .filter(({ label, predicted }) => label !== predicted)
    .sort(surestFirst);
}

/** With a positive class TP, TN, FP and FN; else one group for each pair of true and predicted class that occurs. */
export function pictureGroupsOf(
  split: ScoredSplit,
  { classes, positive }: { classes: readonly string[]; positive: number | null },
): PictureGroup[] {
  const scans = shown(split);
  const pairs = classes.flatMap((_, label) => classes.map((__, predicted) => ({ label, predicted })));
  const ofPairs = pairs.map(({ label, predicted }) => {
    const name = `${classes[label]} called ${classes[predicted]}`;
    return {
      label,
      predicted,
      title: positive === null ? name : `${kindOf({ label, predicted, positive })}: ${name}`,
    };
  });
  return ofPairs
    .sort((a, b) => Number(a.label === a.predicted) - Number(b.label === b.predicted))
    .map(({ label, predicted, title }) => {
      const of = scans
        .filter((scan) => scan.label === label && scan.predicted === predicted)
        .sort(surestFirst);
      return { title, count: of.length, scans: of.slice(0, picturesEach) };
    })
    .filter(({ count }) => count > 0)
    .slice(0, mostPictureGroups);
}

function kindOf({
  label,
  predicted,
  positive,
}: {
  label: number;
  predicted: number;
  positive: number;
}): string {
  const kind = label === predicted ? 'true' : 'false';
  return `${kind} ${predicted === positive ? 'positive' : 'negative'}`;
}

/** The scans that have probabilities. */
const shown = (split: ScoredSplit): ShownScan[] =>
  answersOf(mainRowOf(split))
    .map((answer, i) => ({ key: split.scans[i]!.key, failure: split.scans[i]!.failure, ...answer }))
    .flatMap(({ failure, ...scan }) => (failure === null ? [scan] : []));

const surestFirst = (a: ShownScan, b: ShownScan) => b.confidence - a.confidence || (a.key < b.key ? -1 : 1);
