// Who is in the data set: splits, classes, names, patients and scan lengths. No pixels.
import { permutation, randomStream, type RandomStream } from '@ct-ensemble/core';

export const SPLITS = ['train', 'validation', 'test'] as const;
export const CLASSES = ['covid', 'non-covid'] as const;
export type Split = (typeof SPLITS)[number];
export type Class = (typeof CLASSES)[number];
export type Counts = Record<'train' | 'val' | 'test', Record<Class, number>>;

/** Mild, moderate, severe, critical. */
export type Grade = 1 | 2 | 3 | 4;

export interface PlannedScan {
  split: Split;
  class: Class;
  name: string;
  patient: string;
  /** Where its files lie below the data set and below `masks`: `train/covid/ct_scan_0`, `test/test_ct_scan_0`. */
  path: string;
  slices: number;
  /** Key of what the scanner decides (length, field of view, exposure, …): the same for the n-th scan of either class. */
  acquisition: string;
  /** Covid only: the share of the lungs that the opacities are grown to. */
  targetFraction: number;
}

/** 40 scans: 24 to train, 10 to validate, 6 to test, half of each with Covid. */
export const DEFAULT_COUNTS = countsOf(40);

export const SLICES = { least: 20, most: 60 };

/** Upper bounds of the affected lung fraction of grades 1, 2 and 3; what is above is grade 4. */
export const GRADE_BOUNDS = [0.1, 0.25, 0.5] as const;

const SECOND_SCAN_EVERY = 4;
const TARGETS: Record<Grade, readonly [number, number]> = {
  1: [0.06, 0.09],
  2: [0.13, 0.22],
  3: [0.28, 0.45],
  4: [0.54, 0.68],
};

/** Mild below 10 % of the lung volume affected, moderate below 25 %, severe below 50 %, else critical. */
export function gradeOf(affectedFraction: number): Grade {
  const below = GRADE_BOUNDS.findIndex((bound) => affectedFraction < bound);
  return below === -1 ? 4 : ((below + 1) as Grade);
}

/** Counts of a data set of that many scans, at least 6: about a quarter to validate, three in twenty to test. */
export function countsOf(scans: number): Counts {
  const val = Math.max(1, Math.round(scans / 8));
  const test = Math.max(1, Math.round((scans * 3) / 40));
  const rest = scans - 2 * (val + test);
  return {
    train: { covid: Math.floor(rest / 2), 'non-covid': Math.ceil(rest / 2) },
    val: { covid: val, 'non-covid': val },
    test: { covid: test, 'non-covid': test },
  };
}

/** Every scan of the data set, in a fixed order: split, class, number. */
export function planScans(seed: number, counts: Counts): PlannedScan[] {
  let patients = 0;
  const plan = SPLITS.flatMap((split) => {
    const of = counts[split === 'validation' ? 'val' : split];
    const testNumbers = permutation(of.covid + of['non-covid'], { seed, purpose: 'test names' });
    return CLASSES.flatMap((label) =>
      Array.from({ length: of[label] }, (_, i): PlannedScan => {
        // Every fourth scan is a second one of the patient before it.
        if (i % SECOND_SCAN_EVERY !== SECOND_SCAN_EVERY - 1) patients++;
        const number = testNumbers[label === 'covid' ? i : of.covid + i];
        const name = split === 'test' ? `test_ct_scan_${number}` : `ct_scan_${i}`;
        const acquisition = `${split}/${i}`;
        const length = randomStream({ seed, purpose: 'length', sample: acquisition });
        return {
          split,
          class: label,
          name,
          patient: String(patients),
          path: split === 'test' ? `test/${name}` : `${split}/${label}/${name}`,
          slices: SLICES.least + length.integer(SLICES.most - SLICES.least + 1),
          acquisition,
          targetFraction: label === 'covid' ? targetFraction(seed, split, i) : 0,
        };
      }),
    );
  });
  // Patients are numbered at random: in order, the number of a test scan's patient would tell its class.
  const numbers = permutation(patients, { seed, purpose: 'patient numbers' });
  return plan.map((scan) => {
    const number = numbers[Number(scan.patient) - 1]! + 1;
    return { ...scan, patient: `P${String(number).padStart(4, '0')}` };
  });
}

/** Grades take turns, so that even five scans hold all four; the order is drawn anew for each round of four. */
function targetFraction(seed: number, split: Split, i: number) {
  const round = Math.floor(i / 4);
  const grade = (permutation(4, { seed, purpose: `grades ${split}`, sample: round })[i % 4]! + 1) as Grade;
  return between(randomStream({ seed, purpose: `fraction ${split}`, sample: i }), TARGETS[grade]);
}

/** A uniform draw from [low, high). */
export function between(random: RandomStream, [low, high]: readonly [number, number]) {
  return low + (high - low) * random.uniform();
}
