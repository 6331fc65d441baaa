import { rm, writeFile } from 'node:fs/promises';
import { writeProbabilities } from '../results/probabilities.ts';
import { augmentedFile, probabilitiesFile, writeScans } from '../run-folder.ts';
import { readScans } from '../run-records.ts';
import { scan, temporaryRun } from '../testing.fixture.ts';
import { asProbabilities, missingProbabilities } from './member-probabilities.ts';

const classes = ['non-covid', 'covid'];
const scans = [
  scan('val/covid/a', 1),
  scan('val/non-covid/a', 0),
  scan('test/b', null),
  scan('test/c', null, null),
];

test('missing are files that are absent, damaged, or of other scans, names, classes or failures', async () => {
  const run = await temporaryRun();
  await writeScans(run, [{ members: ['x'], scans }]);
  const missing = async () => missingProbabilities(run, 'x', { scans: await readScans(run, 'x'), classes });
  expect(await missing()).toEqual(['val', 'test']);
  const write = async () => {
    for (const [split, rows] of [
      [
        'val',
        [
          [0.25, 0.75],
          [0.5, 0.5],
        ],
      ],
      ['test', [[1, 0]]],
    ] as const)
      // prettier-ignore
      await writeProbabilities(
        probabilitiesFile(run, 'x', split),
        asProbabilities(rows.map((row) => [...row]), { split, scans, classes }), // prettier-ignore
      );
  };
  await write();
  expect(await missing()).toEqual([]);
  expect(
    await missingProbabilities(run, 'x', {
      scans: await readScans(run, 'x'),
      classes: ['covid', 'non-covid'],
    }),
  ).toEqual(['val', 'test']);

  await rm(probabilitiesFile(run, 'x', 'val'));
  expect(await missing()).toEqual(['val']);
  await writeFile(probabilitiesFile(run, 'x', 'val'), '{"split": "val"');
  expect(await missing()).toEqual(['val']);

  await write();
  const others = [
    [...scans, scan('test/d', null)],
    scans.filter(({ key }) => key !== 'test/b'),
    scans.map((each) => (each.key === 'test/b' ? { ...each, label: 1 } : each)),
    scans.map((each) => (each.key === 'test/b' ? { ...each, name: 'B' } : each)),
    scans.map((each) => (each.key === 'test/c' ? scan('test/c', null) : each)),
  ];
  for (const other of others) {
    await writeScans(run, [{ members: ['x'], scans: other }]);
    expect(await missing()).toEqual(['test']);
  }
});

test('files with another test-time augmentation than the one asked for are missing', async () => {
  const run = await temporaryRun();
  const missing = (augmentation: { flips: boolean; draws: number }) =>
    missingProbabilities(run, 'x', { scans, classes, augmentation });
  const [flips, both] = [
    { flips: true, draws: 1 },
    { flips: true, draws: 4 },
  ];
  const write = async (augmentation?: string) => {
    for (const split of ['val', 'test'] as const) {
      const rows = split === 'val' ? [[0.5, 0.5], [1, 0]] : [[1, 0]]; // prettier-ignore
      await writeProbabilities(augmentedFile(run, 'x', split), {
        ...asProbabilities(rows, { split, scans, classes }),
        ...(augmentation !== undefined && { augmentation }),
      });
    }
  };
  expect(await missing(flips)).toEqual(['val', 'test']);
  await write(); // as the first such files were, which name none
  expect([await missing(flips), await missing(both)]).toEqual([[], ['val', 'test']]);
  await write('flips,slices:4');
  expect([await missing(flips), await missing(both)]).toEqual([['val', 'test'], []]);
  expect(await missing({ flips: false, draws: 4 })).toEqual(['val', 'test']);
});
