// The data set of a run: which layout it is read in, and what is reported of its classes and splits.
import { UserError } from '@ct-ensemble/core';
import {
  type DatasetIndex,
  type DatasetOptions,
  readDatasetIndex,
  type ScanTable,
  type StoredScan,
  type TableField,
} from '@ct-ensemble/data';
import { csvOf } from '../results/csv.ts';
import { foldsOf } from './folds.ts';
import { classesOf, type Recipe } from '../recipes/schema.ts';

/** How a person says what the data set is: options of the command line, each as it was written. */
export interface DatasetChoice {
  /** `--layout`. Default: `table` with `labels`; else the recipe's; else `cov19-ct-db` for a recipe with `task`, else `folders`. */
  layout?: string;
  /** `--labels`: the table of scans. */
  labels?: string;
  /** `--scan-column` and so on: the table's columns, if they do not have the usual names. */
  columns?: Partial<Record<TableField, string>>;
}

export interface OpenDatasetOptions extends DatasetChoice, Pick<DatasetOptions, 'anyFolder' | 'allowLeaks'> {
  /** Folder of the data set. */
  data: string;
  recipe: Recipe;
}

/** Reads the index of the data set. Throws a UserError like `readDatasetIndex`, and for options that contradict each other. */
export async function openDataset(options: OpenDatasetOptions): Promise<DatasetIndex> {
  const { data, recipe, labels, columns = {}, anyFolder = false, allowLeaks = false } = options;
  const layout = layoutFor(options);
  if (labels !== undefined && layout !== 'table')
    throw new UserError(`--labels: the layout ${layout} reads no table of scans`, {
      remedy: 'leave --layout out, or name the layout table',
    });
  const [column] = Object.keys(columns);
  if (labels === undefined && column !== undefined)
    throw new UserError(`--${column}-column names a column, but there is no table`, {
      remedy: 'name the table with --labels',
    });
  const table: ScanTable | undefined = labels === undefined ? undefined : { file: labels, columns };
  const index = await readDatasetIndex(data, {
    layout,
    classes: classesOf(recipe),
    anyFolder,
    allowLeaks,
    ...(table && { table }),
    ...(recipe.split && { split: recipe.split }),
  });
  const { classWeights } = recipe.training.loss;
  const { classes } = index;
  if (Array.isArray(classWeights) && classes.length > 0 && classWeights.length !== classes.length)
    throw new UserError(
      `training.loss.classWeights has ${classWeights.length} numbers, but the data set has ${classes.length} classes: ` +
        classes.join(', '),
      { file: data, remedy: 'give a number for each class, or inverse-frequency' },
    );
  return index;
}

function layoutFor({ layout, labels, recipe }: OpenDatasetOptions): string {
  if (layout !== undefined) return layout;
  if (labels !== undefined) return 'table';
  return recipe.layout ?? (recipe.task === undefined ? 'folders' : 'cov19-ct-db');
}

/** The text of splits.csv: a row for each scan; with folds, the fold of each labelled scan that is not for test. */
export function splitsTable({ scans, classes }: DatasetIndex, recipe: Recipe): string {
  const header = ['scan', 'label', 'patient', 'split'];
  const rows = scans.map(({ key, label, patient, split }) => [
    key,
    label === null ? '' : classes[label]!,
    patient ?? '',
    split,
  ]);
  const foldOf = foldsOf(scans, recipe);
  if (foldOf === undefined) return csvOf([header, ...rows]);
  return csvOf([
    [...header, 'fold'],
    ...rows.map((row, i) => [...row, String(foldOf.get(scans[i]!.key) ?? '')]),
  ]);
}

/** Beyond this ratio of the largest to the smallest class in training the imbalance is reported. */
const MOST_IMBALANCE = 3;

/**
 * A small table of the prepared scans: a row for each class, a column for each split. If the largest class of the training
 * scans has more than three times the scans of the smallest, a line with the remedy follows.
 */
export function classTable(
  scans: readonly StoredScan[],
  { classes, training }: { classes: readonly string[]; training: Recipe['training'] },
): string {
  const splits = ['train', 'val', 'test'] as const;
  const count = (matches: (scan: StoredScan) => boolean) =>
    splits.map((split) => scans.filter((scan) => scan.split === split && matches(scan)).length);
  const usable = ({ volume }: StoredScan) => volume !== null;
  const perClass = classes.map((_, label) => count((scan) => usable(scan) && scan.label === label));
  const rows = [
    ['scans', ...splits],
    ...classes.map((name, label) => [name, ...perClass[label]!.map(String)]),
    ['no label', ...count((scan) => usable(scan) && scan.label === null).map(String)],
    ['failed', ...count((scan) => !usable(scan)).map(String)],
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row.map((cell, c) => (c === 0 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!))).join('  '),
  );
  return [
    ...lines,
    ...imbalanceIn(
      perClass.map(([train]) => train!),
      { classes, training },
    ),
  ].join('\n');
}

function imbalanceIn(
  counts: readonly number[],
  { classes, training }: { classes: readonly string[]; training: Recipe['training'] },
): string[] {
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  if (least === 0 || most <= MOST_IMBALANCE * least) return [];
  const name = (value: number) => `${classes[counts.indexOf(value)]} (${value})`;
  const { classWeights = 'none' } = training.loss;
  const isWeighted = classWeights !== 'none';
  const remedy = isWeighted
    ? 'the recipe sets training.loss.classWeights'
    : 'training.loss.classWeights: inverse-frequency in the recipe weights them';
  return [`The training scans are imbalanced: ${name(most)} against ${name(least)}; ${remedy}.`];
}
