// A chart as plain values: lines, ranges or bars over two axes, and its numbers as a table.
import type { Table } from './table.ts';

export interface Axis {
  title: string;
  low: number;
  high: number;
  /** Whole numbers only. */
  whole?: boolean;
  /** Names instead of numbers, one a category, from the first on. */
  categories?: string[];
}

export interface Series {
  name: string;
  /** [x, y]; y null interrupts a line. */
  points: readonly (readonly [number, number | null])[];
  /** Markers on the points. */
  marked?: boolean;
  /** Drawn as steps, thin, or dashed as a line of comparison. */
  style?: 'step' | 'thin' | 'reference';
}

interface ChartBase {
  id: string;
  title: string;
  /** What the chart shows, in one or two sentences: the text alternative of the drawing. */
  alternative: string;
  /** The numbers of the chart, or as many as a person reads. */
  data: Table;
}

export type Chart =
  | (ChartBase & { kind: 'lines'; x: Axis; y: Axis; series: Series[] })
  /** Estimates with intervals, one a row. */
  | (ChartBase & {
      kind: 'ranges';
      x: Axis;
      rows: { name: string; estimate: number | null; interval: readonly [number, number] | null }[];
      /** A line of comparison, with its name. */
      reference: { name: string; at: number } | null;
    })
  /** Stacked bars over bins. */
  | (ChartBase & { kind: 'bars'; x: Axis; y: Axis; series: { name: string; counts: number[] }[] });
