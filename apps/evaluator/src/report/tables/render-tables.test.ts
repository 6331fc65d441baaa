import { tableCsv, tableJson, tableText } from './render-tables.ts';
import type { Table } from './table.ts';

const table: Table = {
  id: 'scores',
  title: 'Scores',
  notes: ['A note.'],
  columns: [
    { title: 'row' },
    { title: 'macro F1', kind: 'interval' },
    { title: 'p', kind: 'p' },
    { title: 'share in %', kind: 'percent' },
    { title: 'scans', kind: 'count' },
  ],
  rows: [
    [
      'a, "b"',
      { estimate: 0.90123, interval: [0.87, 0.92], method: 'bca', percentile: null },
      0.0002,
      0.5,
      12,
    ],
    ['c', { estimate: null, interval: null, method: null, percentile: null }, null, NaN, 3],
    ['d', { estimate: -0.0118, interval: [-0.02, 0.001], method: 'bca', percentile: null }, 0.04, 1, 0],
  ],
};

test('text: aligned columns, a dash for what is undefined, a minus sign', () => {
  expect(tableText(table)).toBe(
    [
      'Scores',
      'A note.',
      '',
      'row                     macro F1        p  share in %  scans',
      'a, "b"       0.901 (0.870–0.920)  < 0.001       50.00     12',
      'c                              –        –           –      3',
      'd       −0.012 (−0.020 to 0.001)    0.040      100.00      0',
      '',
    ].join('\n'),
  );
});

test('CSV: numbers in full, an interval in three columns, quoted texts', () => {
  expect(tableCsv(table)).toBe(
    [
      'row,macro F1,macro F1 (95 % low),macro F1 (95 % high),p,share in %,scans',
      '"a, ""b""",0.90123,0.87,0.92,0.0002,0.5,12',
      'c,,,,,,3',
      'd,-0.0118,-0.02,0.001,0.04,1,0',
      '',
    ].join('\n'),
  );
});

test('JSON: the same, by column', () => {
  expect(tableJson(table)).toMatchObject({
    id: 'scores',
    rows: [
      { row: 'a, "b"', 'macro F1': 0.90123, 'macro F1 (95 % low)': 0.87, p: 0.0002, scans: 12 },
      { row: 'c', 'macro F1': null, p: null, 'share in %': null },
      { row: 'd', 'macro F1 (95 % high)': 0.001 },
    ],
  });
});
