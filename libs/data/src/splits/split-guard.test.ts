import type { Split } from '../layouts/dataset-index.ts';
import { guardSplits, NEAR_EQUAL_IN_FOLDS } from './split-guard.ts';
import type { StoredScan } from '../scan-entry.ts';

const root = '/data';
const scan = (split: Split, name: string, volume: string | null = name): StoredScan => ({
  key: `${split}/covid/${name}`,
  label: 1,
  split,
  name,
  volume,
  failure: volume === null ? 'no slice' : null,
  slices: 9,
  kept: 9,
});
/** By the first letter of the volume: `a…` and `b…` have no bit in common. */
const fingerprint = ({ volume }: StoredScan) =>
  Promise.resolve(({ a: 'ffff0000', b: '0000ffff' } as Record<string, string>)[volume![0]!]!);

test('nearly equal scans of two splits are an error with all pairs, or findings', async () => {
  const scans = [scan('train', 'a0'), scan('train', 'b0'), scan('val', 'a1'), scan('test', 'b1')];
  await expect(guardSplits({ root, scans, fingerprint, allow: false })).rejects.toThrow(
    '/data: nearly equal scans are in two splits: train/covid/a0 and val/covid/a1 (distance 0.00); ' +
      'train/covid/b0 and test/covid/b1 (distance 0.00) → remove one scan of each pair, or move both into one split, ' +
      'or go on knowingly with --allow-leaks',
  );
  await expect(guardSplits({ root, scans, fingerprint, allow: false })).rejects.toHaveProperty(
    'name',
    'UserError',
  );
  const findings = await guardSplits({ root, scans, fingerprint, allow: true });
  expect(findings.map(({ kind }) => kind)).toEqual(['near-equal-scans', 'near-equal-scans']);
  expect(findings[1]!.message).toMatch(/two splits: train\/covid\/b0 and test\/covid\/b1 /);
});

test('more than ten pairs are counted', async () => {
  const scans = [scan('train', 'a'), ...Array.from({ length: 14 }, (_, i) => scan('val', `a${i}`))];
  await expect(guardSplits({ root, scans, fingerprint, allow: false })).rejects.toThrow(
    /a9 \(distance 0.00\); and 4 more →/,
  );
});

test('within a split they are a finding; failed scans are not looked at', async () => {
  const scans = [scan('train', 'a0'), scan('train', 'a1'), scan('val', 'b0'), scan('val', 'a2', null)];
  expect(await guardSplits({ root, scans, fingerprint, allow: false })).toEqual([
    {
      kind: 'near-equal-scans',
      path: root,
      message: 'nearly equal: train/covid/a0 and train/covid/a1 (distance 0.00)',
    },
  ]);
});

test('in two folds they are a finding of its own kind, within one fold the usual one', async () => {
  const scans = [scan('train', 'a0'), scan('train', 'a1'), scan('train', 'b0'), scan('train', 'b1')];
  const folds = new Map(scans.map(({ key }, i) => [key, [1, 2, 3, 3][i]!]));
  const findings = await guardSplits({ root, scans, fingerprint, folds, allow: false });
  expect(findings).toEqual([
    {
      kind: NEAR_EQUAL_IN_FOLDS,
      path: root,
      message:
        'nearly equal scans are in two folds: train/covid/a0 and train/covid/a1 (distance 0.00), folds 1 and 2',
    },
    {
      kind: 'near-equal-scans',
      path: root,
      message: 'nearly equal: train/covid/b0 and train/covid/b1 (distance 0.00)',
    },
  ]);
});
