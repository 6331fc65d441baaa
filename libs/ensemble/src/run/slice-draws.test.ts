// Which scans further draws are made of, and what happens to one that cannot be made.
import { openVolumeStore, type ScanEntry } from '@ct-ensemble/data';
import { scan, temporaryRun } from '../testing.fixture.ts';
import { drawnScans, isPredicted, prepareDraws, requireDraws } from './slice-draws.ts';

test('predicted are scans for test and validation; with folds those of the folds that members have', () => {
  const keys = ['train/a', 'val/a', 'test/a'];
  const predicted = keys.filter((key) => isPredicted(scan(key, 1), {}));
  expect(predicted).toEqual(['val/a', 'test/a']);
  expect(isPredicted(scan('val/b', 1, null), {})).toBe(false);
  const folds = { x: 1, y: 3 };
  const inFold = [1, 2, 3, null].filter((fold) => isPredicted({ ...scan('train/a', 1), fold }, { folds }));
  expect(inFold).toEqual([1, 3]);
  expect(isPredicted({ ...scan('val/a', 1), fold: null }, { folds })).toBe(false);
  expect(isPredicted({ ...scan('test/a', null), fold: null }, { folds })).toBe(true);
});

test('a draw that cannot be prepared is an error by the scan; other scans are not prepared', async () => {
  const entry = (key: string): ScanEntry => ({
    ...scan(key, 1),
    format: 'images',
    slices: [],
    patient: null,
    group: null,
    failure: `the files of ${key} are gone`,
  });
  const options = {
    index: { scans: [entry('train/a'), entry('val/a')] },
    preparations: [{ depth: 2, height: 4, width: 4 }],
    draws: 3,
    store: openVolumeStore(await temporaryRun()),
    networks: {},
  };
  const scans = [{ members: ['x'], scans: [scan('train/a', 1), scan('val/a', 1)] }];
  await expect(prepareDraws({ ...options, scans })).rejects.toThrow(
    /draw 1 of the scan val\/a could not be prepared: the files of val\/a are gone/,
  );
  const trained = [{ members: ['x'], scans: [scan('train/a', 1)] }];
  const { draws } = await prepareDraws({ ...options, scans: trained });
  expect(draws).toEqual([{ members: ['x'], volumes: {} }]);
});

test('the scans of each draw: the plain volumes, then those of the further draws in their order', () => {
  const scans = [scan('val/a', 1), scan('val/b', 0)];
  const volumes = { 'val/b': ['b1', 'b2'], 'val/a': ['a1', 'a2'], 'test/c': ['c1', 'c2'] };
  const keys = drawnScans(scans, { draws: 3, volumes }).map((drawn) => drawn.map(({ volume }) => volume));
  expect(keys).toEqual([
    ['volume of val/a', 'volume of val/b'],
    ['a1', 'b1'],
    ['a2', 'b2'],
  ]);
  expect(drawnScans(scans, { draws: 1, volumes: {} })).toEqual([scans]);
});

test('a recipe that samples by lung area is refused by its name', () => {
  const volume = { depth: 2, height: 4, width: 4, mask: null, sampling: 'nearest' } as never;
  requireDraws({ name: 'r', volume });
  const byArea = { ...(volume as object), sampling: 'lung-area' } as never;
  expect(() => requireDraws({ name: 'r', volume: byArea })).toThrow(
    /--tta slices: the recipe r samples slices by lung area .* → leave slices out/,
  );
});
