// The table of bench:scale.
import { scaleTable } from './scale-report.ts';

test('a row for each measurement; large numbers in groups, sizes that do not apply as dashes', () => {
  const used = { wallSeconds: 1, note: '' };
  const table = scaleTable([
    {
      quantity: 'index',
      scans: 100_000,
      cpuSeconds: 45.12,
      peakBytes: 2.5e8,
      fileOperations: 1_234_567,
      ...used,
    },
    { quantity: 'status', members: 1000, cpuSeconds: 1.234, peakBytes: 1e6, fileOperations: 999, ...used },
  ]);
  expect(table.split('\n')).toEqual([
    '|  | scans | members | CPU seconds | peak memory | file operations |',
    '| --- | --- | --- | --- | --- | --- |',
    '| index | 100\u202f000 | – | 45.1 | 250 MB | 1\u202f234\u202f567 |',
    '| status | – | 1000 | 1.23 | 1 MB | 999 |',
  ]);
});
