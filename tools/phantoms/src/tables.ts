// The tables beside the scans: labels, patients and, in the layout of COV19-CT-DB, severity grades.
import { join } from 'node:path';

import { writeFileAtomic } from '@ct-ensemble/core';

import { splitName, type Grade, type Layout, type PlannedScan } from './plan.ts';

/** A scan as it was written. */
export interface WrittenScan extends PlannedScan {
  /** Path below the folder of the data set, with the ending of a file. */
  path: string;
  /** Share of the lung's voxels inside the finding, over the slices as written. */
  affectedFraction: number;
  /** 1 mild (below 10 % affected), 2 moderate (below 25 %), 3 severe (below 50 %), 4 critical; null without Covid. */
  grade: Grade | null;
}

/** Names of the tables of each layout. */
export const TABLES: Record<Layout, readonly string[]> = {
  'cov19-ct-db': [
    'train_partition_covid_categories.csv',
    'val_partition_covid_categories.csv',
    'test_truth.csv',
    'patients.csv',
  ],
  folders: ['patients.csv'],
  table: ['scans.csv'],
};

interface TableOptions {
  layout: Layout;
  /** Whether `scans.csv` has the column `split`. */
  split: boolean;
}

export async function writeTables(folder: string, scans: readonly WrittenScan[], options: TableOptions) {
  const { layout, split } = options;
  const write = (name: string, lines: readonly string[]) =>
    writeFileAtomic(join(folder, name), lines.map((line) => `${line}\n`).join(''));
  switch (layout) {
    case 'cov19-ct-db': {
      const categories = (of: string) => [
        'Name;Category',
        ...scans
          .filter((scan) => scan.split === of && scan.grade !== null)
          .map((scan) => `${scan.name};${scan.grade}`),
      ];
      const byNumber = (a: WrittenScan, b: WrittenScan) => numberOf(a.name) - numberOf(b.name);
      const test = scans.filter((scan) => scan.split === 'test').sort(byNumber);
      const labelled = scans.filter((scan) => scan.split !== 'test');
      // Only the Covid scans of the default classes have grades.
      if (scans.every(({ finding }) => finding === 'covid' || finding === 'non-covid')) {
        await write('train_partition_covid_categories.csv', categories('train'));
        await write('val_partition_covid_categories.csv', categories('validation'));
      }
      await write('test_truth.csv', ['name;class', ...test.map((scan) => `${scan.name};${scan.class}`)]);
      return write('patients.csv', [
        'split,class,name,patient',
        ...labelled.map((scan) => [scan.split, scan.class, scan.name, scan.patient].join(',')),
        ...test.map((scan) => [scan.split, '', scan.name, scan.patient].join(',')),
      ]);
    }
    case 'folders':
      return write('patients.csv', [
        'split,class,name,patient',
        ...byPath(scans).map((scan) =>
          [splitName(scan.split), scan.class, lastPart(scan.path), scan.patient].join(','),
        ),
      ]);
    case 'table':
      return write('scans.csv', [
        `scan,label,patient,${split ? 'split,' : ''}group`,
        ...byPath(scans).map((scan) =>
          [scan.path, scan.class, scan.patient, ...(split ? [splitName(scan.split)] : []), scan.group].join(
            ',',
          ),
        ),
      ]);
    default:
      return layout satisfies never;
  }
}

const numberOf = (name: string) => Number(name.slice(name.lastIndexOf('_') + 1));
const byPath = (scans: readonly WrittenScan[]) => scans.toSorted((a, b) => (a.path < b.path ? -1 : 1));
/** Without the ending of a file. */
const lastPart = (path: string) => path.slice(path.lastIndexOf('/') + 1).replace(/\..*$/, '');
