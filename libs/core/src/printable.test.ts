import { jest } from '@jest/globals';
import { UserError } from './errors.ts';
import { print, printable, printableLines } from './printable.ts';

test.each([
  ['\x1b]0;owned\x07\x1b[31mred', '\\x1b]0;owned\\x07\\x1b[31mred'],
  ['a,b\nc\r\td', 'a,b\\x0ac\\x0d\\x09d'],
  ['\x7f\x9b2J', '\\u007f\\u009b2J'],
  ['gpj.\u202eexe', 'gpj.\\u202eexe'],
  ['half \ud800 a pair', 'half \\ud800 a pair'],
  ['Größe_肺_𝔁.jpg', 'Größe_肺_𝔁.jpg'],
])('%j is printed as %j', (name, shown) => {
  expect(printable(name)).toBe(shown);
});

test('a message keeps its lines, and JSON remains JSON with the same value', () => {
  expect(printableLines('2 problems\n\tline 1: \x1b[2J')).toBe('2 problems\n\tline 1: \\x1b[2J');
  const value = { name: '\x1b[2J \x9b \x7f \u202e \u2028' };
  const json = printableLines(JSON.stringify(value, null, 1));
  expect(json).not.toMatch(/[\x7f-\x9f\u202e\u2028]/);
  expect(JSON.parse(json)).toEqual(value);
});

test('print writes one line to standard output', () => {
  const log = jest.spyOn(console, 'log').mockImplementation(() => undefined);
  print('FAILED test/\x1b[31mred');
  expect(log.mock.calls).toEqual([['FAILED test/\\x1b[31mred']]);
  log.mockRestore();
});

test('the message of a UserError shows control characters in the file name, the problem and the remedy', () => {
  const error = new UserError('has the class \x1b[1m', { file: 'a\nb\x07', remedy: 'rename \x9b' });
  expect(error.message).toBe('a\\x0ab\\x07: has the class \\x1b[1m → rename \\u009b');
  expect(error.file).toBe('a\nb\x07');
});
