// What a comparison means, in words: which differences the data can show.
import { normalQuantile } from '../numeric/normal.ts';
import { losses, scoreTitles } from '../scores/names.ts';
import type { Comparison } from './compare.ts';

/** What {@link describeDifference} needs of a comparison. */
export type Described = Omit<Comparison, 'words' | 'delong' | 'mcnemar' | 'scansSharePatients'>;

/**
 * One to three sentences: the difference with its interval and p-value, whether the data can tell the rows apart, and, if they
 * cannot, how large a difference would have had to be (1.96 standard errors at 95 %).
 */
export function describeDifference(c: Described): string {
  const { estimate, interval, standardError } = c.differences[c.score];
  const title = scoreTitles[c.score];
  const who = `${c.patients} ${c.patients === 1 ? 'patient' : 'patients'}`;
  if (estimate === null || interval === null || c.adjustedP === null) {
    return `${c.a} and ${c.b} cannot be compared in ${title}: it is undefined on these ${who}, or there is one patient only.`;
  }
  const better = (losses as readonly string[]).includes(c.score) ? estimate < 0 : estimate > 0;
  const percent = `${percentOf(c.level)} interval ${number(interval[0])} to ${number(interval[1])}`;
  const p = `${pValue(c.adjustedP)}${c.correction === 'Holm' ? ` after Holm's correction for ${c.pairs} pairs` : ''}`;
  const rough = c.rough ? ' The interval is rough, because a class has fewer than ten scans.' : '';
  const measured =
    estimate === 0
      ? `${c.a} and ${c.b} have the same ${title} (difference 0, ${percent}, ${p}).`
      : `${c.a} has a ${estimate > 0 ? 'higher' : 'lower'} ${title} than ${c.b}: difference ${number(estimate)} (${percent}, ${p}).`;
  if (c.distinguishable) {
    return `${measured} On these ${who} the difference can be distinguished from chance: ${better ? c.a : c.b} is better.${rough}`;
  }
  const needed =
    standardError === null || standardError === 0
      ? ''
      : ` A difference of about ${(normalQuantile((1 + c.level) / 2) * standardError).toFixed(3)} or more would be needed.`;
  return `${measured} On these ${who} the difference cannot be distinguished from chance.${needed}${rough}`;
}

/** All comparisons in words: first those that can be distinguished from chance, then the others. */
export function describeComparisons(comparisons: readonly Comparison[]): string[] {
  const clear = comparisons.filter((c) => c.distinguishable);
  const open = comparisons.filter((c) => !c.distinguishable);
  const summary = `${clear.length} of ${comparisons.length} differences can be distinguished from chance.`;
  return [summary, ...clear.map((c) => c.words), ...open.map((c) => c.words)];
}

const number = (value: number) => `${value < 0 ? '−' : value > 0 ? '+' : ''}${Math.abs(value).toFixed(3)}`;
const percentOf = (level: number) => `${Number((level * 100).toFixed(1))} %`;
const pValue = (p: number) => (p < 0.001 ? 'p < 0.001' : `p = ${p.toFixed(3)}`);
