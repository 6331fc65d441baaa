// The layout `unlabelled`: any folder of scans, however they are arranged. Every scan is a test scan without a class.
import { UserError } from '@ct-ensemble/core';
import type { FoundScan, Layout, LayoutRequest, LayoutScans } from './layout.ts';
import { compareNames } from './listing.ts';
import { remedyFor, seenInstead, withSeen } from './no-scan.ts';
import { keysOf, namesOf, scansBelow } from './scan-search.ts';

export const unlabelled: Layout = {
  name: 'unlabelled',
  description:
    'a folder of scans: folders of K.jpg or K.png slices, folders of DICOM files, volume files (NIfTI, MetaImage, NRRD)',
  isUnlabelled: true,
  read,
};

async function read({ root, listing, classes, findings }: LayoutRequest): Promise<LayoutScans> {
  const found = await scansBelow({ path: root, listing }, findings);
  if (found.length === 0) {
    const seen = await seenInstead(root);
    const remedy = remedyFor(`give ${unlabelled.description}`, seen);
    throw new UserError(withSeen('holds no scan', seen), { file: root, remedy });
  }
  const keys = keysOf(found, root);
  const sorted = found.map((scan, i) => ({ ...scan, key: keys[i]! }));
  sorted.sort((a, b) => compareNames(a.key, b.key));
  const names = namesOf(sorted.map(({ key }) => ({ key, name: key })));
  const scans = sorted.map(({ key, ...files }, i): FoundScan => ({
    key: `test/${key}`,
    name: names[i]!,
    className: null,
    split: 'test',
    patient: null,
    group: null,
    ...files,
  }));
  return { scans, classes: classes ?? [], patientFile: null };
}
