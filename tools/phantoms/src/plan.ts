// Which scans a data set holds: splits, classes, findings, names, patients, hospitals and scan lengths. No pixels.
import { permutation, randomStream, UserError, type RandomStream } from '@ct-ensemble/core';

export const SPLITS = ['train', 'validation', 'test'] as const;
export type Split = (typeof SPLITS)[number];

/** The classes of COV19-CT-DB, and the default. */
export const CLASSES = ['covid', 'non-covid'] as const;

/**
 * What the lungs of a class show, chosen by the position of the class: the first class has healthy lungs, the second
 * ground-glass opacities, and so on.
 */
export const FINDINGS = [
  'healthy',
  'ground-glass',
  'masses',
  'effusion',
  'emphysema',
  'consolidation',
  'nodules',
  'pneumothorax',
] as const;

/** `covid` and `non-covid` are the two appearances of the default classes, which overlap on purpose. */
export type Finding = (typeof FINDINGS)[number] | (typeof CLASSES)[number];

export const LAYOUTS = ['cov19-ct-db', 'folders', 'table'] as const;
export type Layout = (typeof LAYOUTS)[number];

/** Number of scans by split and class name. */
export type Counts = Record<'train' | 'val' | 'test', Readonly<Record<string, number>>>;

/** 1 mild, 2 moderate, 3 severe, 4 critical. */
export type Grade = 1 | 2 | 3 | 4;

export interface PlannedScan {
  split: Split;
  class: string;
  finding: Finding;
  /** Name in the layout of COV19-CT-DB: `ct_scan_0`, `test_ct_scan_0`. */
  name: string;
  patient: string;
  /** The made-up hospital where the patient was examined. Independent of the class. */
  group: string;
  /** Number of this examination of the patient, from 1. */
  examination: number;
  /** Path in the layout of COV19-CT-DB (`train/covid/ct_scan_0`, `test/test_ct_scan_0`): the key of random draws. */
  key: string;
  /** Path of the scan below the folder of the data set, without the ending of a file. */
  path: string;
  slices: number;
  /**
   * Key of what the scanner decides (number of slices, field of view, exposure, …): the n-th scan of every class of a
   * split has the same.
   */
  acquisition: string;
  /** Share of the lungs that ground-glass opacities are grown to; 0 for other findings. */
  targetFraction: number;
}

export const GROUPS = ['northfield', 'easton', 'westbrook'] as const;

/** Number of scans per class when nothing else is asked for. */
export const SCANS_PER_CLASS = 20;

/** 40 scans: 24 for training, 10 for validation, 6 for testing, half of each with Covid. */
export const DEFAULT_COUNTS = countsOf(40);

export const SLICES = { least: 20, most: 60 };

/** Upper bounds of the affected lung fraction of grades 1, 2 and 3; a larger fraction is grade 4. */
export const GRADE_BOUNDS = [0.1, 0.25, 0.5] as const;

const SECOND_SCAN_EVERY = 4;
const TARGETS: Record<Grade, readonly [number, number]> = {
  1: [0.06, 0.09],
  2: [0.13, 0.22],
  3: [0.28, 0.45],
  4: [0.54, 0.68],
};
const GROUND_GLASS_TARGET = [0.2, 0.45] as const;

/** Mild below 10 % of the lung volume affected, moderate below 25 %, severe below 50 %, else critical. */
export function gradeOf(affectedFraction: number): Grade {
  const below = GRADE_BOUNDS.findIndex((bound) => affectedFraction < bound);
  return below === -1 ? 4 : ((below + 1) as Grade);
}

/**
 * Counts of a data set of `scans` scans in all, at least 3 per class: about a quarter for validation, three in twenty
 * for testing, the rest for training.
 */
export function countsOf(scans: number, classes: readonly string[] = CLASSES): Counts {
  const val = Math.max(1, Math.round(scans / (4 * classes.length)));
  const test = Math.max(1, Math.round((scans * 3) / (20 * classes.length)));
  const rest = scans - classes.length * (val + test);
  const each = (count: (i: number) => number) =>
    Object.fromEntries(classes.map((label, i) => [label, count(i)]));
  return {
    train: each((i) => Math.floor((rest + i) / classes.length)),
    val: each(() => val),
    test: each(() => test),
  };
}

/**
 * The finding of each class. The classes `covid` and `non-covid`, and no others, have the appearances of these names;
 * any other list of classes takes the `FINDINGS` in their order. Throws a UserError for fewer than two classes, more
 * classes than findings, and names that are repeated or unfit for a folder.
 */
export function findingsOf(classes: readonly string[]): Finding[] {
  const bad = (problem: string, remedy: string) => new UserError(problem, { remedy });
  if (classes.length < 2)
    throw bad(`classes lists ${classes.length} name, at least 2 are needed`, 'separate the names by commas');
  if (classes.length > FINDINGS.length)
    throw bad(
      `classes lists ${classes.length} names, but there are only ${FINDINGS.length} distinct findings`,
      `give at most ${FINDINGS.length} classes`,
    );
  for (const [i, name] of classes.entries()) {
    if (!/^[\p{L}\p{N}][\p{L}\p{N}._-]{0,63}$/u.test(name))
      throw bad(
        `classes contains '${name}'`,
        'use 1 to 64 letters, digits, dots, hyphens and underscores, beginning with a letter or digit',
      );
    if (classes.findIndex((other) => other.toLowerCase() === name.toLowerCase()) !== i)
      throw bad(`classes contains '${name}' twice`, 'give every class its own name');
  }
  if (classes.length === 2 && CLASSES.every((name) => classes.includes(name)))
    return classes.map((name) => name as (typeof CLASSES)[number]);
  return classes.map((_, i) => FINDINGS[i]!);
}

/** Every scan of the data set, in a fixed order: split, class, number. */
export function planScans(
  seed: number,
  counts: Counts,
  options: { classes?: readonly string[]; layout?: Layout } = {},
): PlannedScan[] {
  const { classes = CLASSES, layout = 'cov19-ct-db' } = options;
  const findings = findingsOf(classes);
  let patients = 0;
  const plan = SPLITS.flatMap((split) => {
    const of = counts[split === 'validation' ? 'val' : split];
    const total = classes.reduce((sum, label) => sum + of[label]!, 0);
    const testNumbers = permutation(total, { seed, purpose: 'test names' });
    let before = 0;
    return classes.flatMap((label, c) => {
      const first = before;
      before += of[label]!;
      return Array.from({ length: of[label]! }, (_, i) => {
        // Every fourth scan is a second one of the patient before it.
        const isSecond = i % SECOND_SCAN_EVERY === SECOND_SCAN_EVERY - 1;
        if (!isSecond) patients++;
        const name = split === 'test' ? `test_ct_scan_${testNumbers[first + i]}` : `ct_scan_${i}`;
        const acquisition = `${split}/${i}`;
        const length = randomStream({ seed, purpose: 'length', sample: acquisition });
        const finding = findings[c]!;
        return {
          split,
          class: label,
          finding,
          name,
          patientIndex: patients - 1,
          examination: isSecond ? 2 : 1,
          key: split === 'test' ? `test/${name}` : `${split}/${label}/${name}`,
          slices: SLICES.least + length.integer(SLICES.most - SLICES.least + 1),
          acquisition,
          targetFraction: targetFraction(finding, { seed, split, i }),
        };
      });
    });
  });
  // Patients and scans are numbered at random: in order, the number of a test scan would tell its class.
  const patientNumbers = permutation(patients, { seed, purpose: 'patient numbers' });
  const scanNumbers = permutation(plan.length, { seed, purpose: 'scan numbers' });
  return plan.map(({ patientIndex, ...scan }, i) => {
    const number = patientNumbers[patientIndex]! + 1;
    const patient = `P${padded(number)}`;
    const paths: Record<Layout, string> = {
      'cov19-ct-db': scan.key,
      folders: `${splitName(scan.split)}/${scan.class}/scan_${padded(scanNumbers[i]! + 1)}`,
      table: `${patient}/SE${padded(scan.examination)}`,
    };
    return { ...scan, patient, group: GROUPS[number % GROUPS.length]!, path: paths[layout] };
  });
}

/** Name of a split in the layouts `folders` and `table`. */
export const splitName = (split: Split) => (split === 'validation' ? 'val' : split);

const padded = (number: number) => String(number).padStart(4, '0');

function targetFraction(finding: Finding, { seed, split, i }: { seed: number; split: Split; i: number }) {
  const random = () => randomStream({ seed, purpose: `fraction ${split}`, sample: i });
  if (finding === 'ground-glass') return between(random(), GROUND_GLASS_TARGET);
  if (finding !== 'covid') return 0;
  // Grades take turns, so that even five scans hold all four; the order is drawn anew for each round of four.
  const round = Math.floor(i / 4);
  const grade = (permutation(4, { seed, purpose: `grades ${split}`, sample: round })[i % 4]! + 1) as Grade;
  return between(random(), TARGETS[grade]);
}

/** A uniform draw from [low, high). */
export function between(random: RandomStream, [low, high]: readonly [number, number]) {
  return low + (high - low) * random.uniform();
}
