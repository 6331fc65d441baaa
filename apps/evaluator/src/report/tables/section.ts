// The parts of a report in reading order: sentences, tables, charts and pictures, independent of how they are written.
import type { PictureGroup } from '../model/report-model.ts';
import type { Chart } from './chart.ts';
import type { Table } from './table.ts';

export type Block =
  | { kind: 'words'; sentences: string[] }
  /** Sentences of equal rank. `first`: the page folds the others. */
  | { kind: 'list'; sentences: string[]; first?: number }
  /** `first`: the page shows so many rows and says where the others are; the files have all. */
  | { kind: 'table'; table: Table; first?: number }
  /** A table of counts or shares whose cells are shaded by `shade`, 0 … 1, [rows][columns without the first]. */
  | { kind: 'matrix'; table: Table; shade: number[][] }
  | { kind: 'chart'; chart: Chart }
  | { kind: 'pictures'; groups: PictureGroup[] }
  /** Explanations of these scans, as far as there are any; scans by key, the most interesting first. */
  | { kind: 'explanations'; scans: string[] }
  | { kind: 'text'; title: string; text: string };

export interface Section {
  /** Anchor: letters, digits and dashes. */
  id: string;
  title: string;
  blocks: Block[];
  /** Sections below it, one level deep. */
  parts: Section[];
}

/** All tables of the sections, in reading order; those of charts included. */
export function tablesIn(sections: readonly Section[]): Table[] {
  return sections.flatMap(({ blocks, parts }) => [
    ...blocks.flatMap((block) => {
      if (block.kind === 'table' || block.kind === 'matrix') return [block.table];
      return block.kind === 'chart' ? [block.chart.data] : [];
    }),
    ...tablesIn(parts),
  ]);
}
