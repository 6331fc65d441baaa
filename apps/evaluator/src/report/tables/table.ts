// A table as plain values, from which text, CSV, JSON and HTML are written alike.
import type { ScoreWithInterval } from '../model/report-model.ts';

/**
 * A cell. A number is written by its column's kind; null is an undefined value, a dash in text and empty in CSV.
 */
export type Cell = string | number | null | ScoreWithInterval;

export interface Column {
  title: string;
  /**
   * `score`: three decimals; `interval`: a score with its 95 % interval; `percent`: a share in percent; `p`: a p-value; `number`: four
   * significant digits; `count`: a whole number. Default: `text`.
   */
  kind?: 'text' | 'score' | 'interval' | 'percent' | 'p' | 'number' | 'count';
}

export interface Table {
  /** Names the files and the anchor; letters, digits and dashes. */
  id: string;
  title: string;
  /** Sentences below the title. */
  notes: string[];
  columns: Column[];
  rows: Cell[][];
}

const dash = '–';

/** A cell as people read it; an interval as `0.901 (0.871–0.926)`. */
export function cellText(cell: Cell | undefined, kind: Column['kind'] = 'text'): string {
  if (cell === null || cell === undefined) return dash;
  if (typeof cell === 'string') return cell;
  if (typeof cell === 'object') {
    if (cell.estimate === null) return dash;
    const range = cell.interval === null ? '' : ` (${rangeText(cell.interval)})`;
    return `${signed(cell.estimate)}${range}`;
  }
  if (Number.isNaN(cell)) return dash;
  switch (kind) {
    case 'score':
      return signed(cell);
    case 'percent':
      return (100 * cell).toFixed(2);
    case 'p':
      return cell < 0.001 ? '< 0.001' : cell.toFixed(3);
    case 'number':
      return String(Number(cell.toPrecision(4)));
    case 'interval':
    case 'count':
    case 'text':
      return String(cell);
    default:
      return kind satisfies never;
  }
}

/** `0.871–0.926`; with a negative end `−0.012 to 0.038`. */
export function rangeText([low, high]: readonly [number, number]): string {
  return low < 0 || high < 0 ? `${signed(low)} to ${signed(high)}` : `${signed(low)}${dash}${signed(high)}`;
}

/** Three decimals, with a minus sign. */
export const signed = (value: number): string => value.toFixed(3).replace('-', '−');

/** Columns of an interval in CSV and JSON. */
export const intervalParts = ['', ' (95 % low)', ' (95 % high)'] as const;
