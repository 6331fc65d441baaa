// Whether a new scan is like the scans that the ensemble was trained on: simple checks, each stated in its finding.
import type { PreparedInMemory, VolumeStatistics } from '@ct-ensemble/data';
import { statisticNames } from '@ct-ensemble/data';
import type { Manifest } from './manifest.ts';

type Ranges = Manifest['training']['ranges'];

/** Kinds of findings of the preparation that say how the numbers of a scan were read. */
export const VALUE_FINDINGS = ['grey-volume', 'offset-values'] as const;

/** Part of a range by which a number may be outside of it at either end. */
const MARGIN = 0.1;

const TITLES: Record<(typeof statisticNames)[number], { title: string; share: boolean }> = {
  slices: { title: 'the number of slices', share: false },
  keptShare: { title: 'the share of slices that show lung', share: true },
  mean: { title: 'the mean grey value of the prepared volume', share: false },
  black: { title: 'the share of black voxels in the prepared volume', share: true },
  white: { title: 'the share of white voxels in the prepared volume', share: true },
  lung: { title: 'the share of lung in the prepared volume', share: true },
};

/** A finding about a scan. */
export interface ScanFinding {
  /** An identifier for programs; `unlike-training-scans` for the checks of this file. */
  kind: string;
  /** For a person. */
  message: string;
}

/** The smallest and the greatest of each number. */
export function rangesOf(statistics: readonly VolumeStatistics[]): Ranges {
  return Object.fromEntries(
    statisticNames.map((name) => {
      const values = statistics.map((each) => each[name]);
      const least = values.reduce((a, b) => Math.min(a, b), Infinity);
      return [name, { min: least, max: values.reduce((a, b) => Math.max(a, b), -Infinity) }];
    }),
  ) as Ranges;
}

/**
 * What sets a scan apart from the training scans, a finding each: a number outside of their range, widened by a tenth at both ends,
 * and numbers that had to be read otherwise than those of any training scan.
 */
export function unlikeTraining(
  { statistics, findings }: Pick<PreparedInMemory, 'statistics' | 'findings'>,
  { ranges, valueFindings, scans }: Manifest['training'],
): ScanFinding[] {
  if (statistics === null) return [];
  const unlike = (message: string): ScanFinding => ({ kind: 'unlike-training-scans', message });
  const outside = statisticNames.flatMap((name) => {
    const { min, max } = ranges[name];
    const margin = MARGIN * (max - min);
    const value = statistics[name];
    if (value >= min - margin && value <= max + margin) return [];
    const { title, share } = TITLES[name];
    const text = (number: number) => (share ? `${short(100 * number)} %` : short(number));
    return [
      unlike(`${title} is ${text(value)}; in the ${scans} training scans it is ${text(min)} to ${text(max)}`),
    ];
  });
  const kinds = VALUE_FINDINGS.filter(
    (kind) => findings.some((finding) => finding.kind === kind) && !valueFindings.includes(kind),
  );
  const values = kinds.map((kind) =>
    unlike(
      kind === 'grey-volume'
        ? 'its values were read as grey values, those of no training scan were'
        : 'its values were read as Hounsfield units with an offset, those of no training scan were',
    ),
  );
  return [...outside, ...values];
}

const short = (value: number) => String(Number(value.toPrecision(3)));
