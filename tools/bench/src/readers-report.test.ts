// The ratios and the table of bench:readers, against numbers worked out by hand.
import { ratiosOf, readersTable, type ReaderTurn } from './readers-report.ts';

const turn = (here: number, peer: number, together: number): ReaderTurn => ({
  here: { seconds: here, cpu: 2 * here },
  peer: { seconds: peer, cpu: peer },
  together,
});

test('ratios are medians over the turns, peer / here; series read at a time count each', () => {
  const turns = [turn(2, 3, 4), turn(1, 4, 2), turn(4, 2, 8)]; // peer / here: 1.5, 4, 0.5
  const { wall, quartiles, cpu, together } = ratiosOf(turns, 2);
  expect(wall).toBe(1.5);
  expect(quartiles).toEqual([1, 2.75]);
  expect(cpu).toBe(0.75);
  expect(together).toBe(1.5); // 2 · 3 / 4, 2 · 4 / 2, 2 · 2 / 8
});

test('the table says which syntaxes meet the target', () => {
  const rows = [
    { name: 'rle', megabytes: 140.4, plugin: 'pylibjpeg', turns: [turn(2, 1, 2)] },
    { name: 'explicit', megabytes: 262, plugin: null, turns: [turn(4, 1.9, 4)] },
  ];
  const lines = readersTable(rows, 2).split('\n');
  expect(lines).toHaveLength(4);
  expect(lines[2]).toBe(
    '| rle | 140 MB | 2.00 s | 1.00 s | pylibjpeg | 0.50 (0.50–0.50) | 0.25 | 1.00 | ≥ 0.50 | yes |',
  );
  expect(lines[3]).toBe(
    '| explicit | 262 MB | 4.00 s | 1.90 s | – | 0.47 (0.47–0.47) | 0.24 | 0.95 | ≥ 0.50 | no |',
  );
});
