import { parse } from 'csv-parse/sync';
import { csvOf } from './csv.ts';

test('a CSV reader gives back every cell', () => {
  const rows = [
    ['plain', 'a,b', 'say "x"', 'two\nlines', ' spaced ', ''],
    ['__proto__', 'ä;ö', '"', ',', '\r', '0'],
  ];
  expect(parse(csvOf(rows))).toEqual(rows);
  expect(
    csvOf([
      ['a', 'b'],
      ['1', ''],
    ]),
  ).toBe('a,b\n1,\n');
});
