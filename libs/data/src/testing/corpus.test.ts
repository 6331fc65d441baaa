// The corpus through index and readers: every format, and every unusual input, is read as it should be or refused by name.
import { messageOf } from '@ct-ensemble/core';
import { readDatasetIndex } from '../layouts/dataset-index.ts';
import { openSlices, readSliceFiles } from '../readers/slice-source.ts';
import { corpusCases, grey, soundScans, volume, type Files } from './corpus.fixture.ts';
import { writeTree } from './dataset.fixture.ts';

/** The first scan of a folder, as grey slices, and all that was reported or thrown. */
async function readFolder(files: Files) {
  const root = await writeTree(files);
  try {
    const { scans, report } = await readDatasetIndex(root, { anyFolder: true });
    const [first] = scans;
    const said = [
      ...report.findings.map(({ message }) => message),
      ...scans.map(({ failure }) => failure ?? ''),
    ];
    const source = await openSlices(first!, await readSliceFiles(first!.slices));
    const slices = [];
    for (let i = 0; i < source.count; i++) slices.push([...(await source.decode(i)).image.data]);
    return {
      slices,
      scans: scans.length,
      said: [...said, ...source.findings.map(({ message }) => message)].join('\n'),
    };
  } catch (error) {
    return { slices: null, scans: 1, said: messageOf(error) };
  }
}

const greySlices = (places: readonly number[]) => places.map((z) => volume[z]!.map(grey));

test.each(Object.entries(await soundScans()))('%s', async (_, { files, lossy }) => {
  const { slices } = await readFolder(files);
  const expected = greySlices([0, 1, 2, 3, 4]);
  if (lossy === undefined) return expect(slices).toEqual(expected);
  expect(slices).toHaveLength(5);
  const differences = slices!.flatMap((slice, z) =>
    slice.map((value, i) => Math.abs(value - expected[z]![i]!)),
  );
  expect(differences.reduce((sum, difference) => sum + difference) / differences.length).toBeLessThan(12);
});

test.each(Object.entries(await corpusCases()))('%s', async (_, { files, slices, scans = 1, says }) => {
  const read = await readFolder(files);
  expect([read.said, read.scans, read.slices]).toEqual([
    says === undefined ? '' : expect.stringMatching(says),
    scans,
    slices && greySlices(slices),
  ]);
});
