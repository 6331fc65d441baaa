// The error for a folder without a scan: what was seen, and what to do about it.
import { writeTree } from '../testing/dataset.fixture.ts';
import { readDatasetIndex } from './dataset-index.ts';

const page = '<!DOCTYPE html><html><body>Log in</body></html>';
const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n';

test.each<[string, Record<string, string>, RegExp]>([
  [
    'TIFF',
    { '1.tif': 'II', '2.tif': 'II' },
    /holds no scan; it holds 2 \.tif files → convert these images to PNG/,
  ],
  [
    'names',
    { 'a.png': 'x', 'b.png': 'x' },
    /2 \.png files without a number in their names → number the slices/,
  ],
  ['an archive', { 'sub/scans.zip': 'PK' }, /it holds 1 \.zip file → unpack the archives/],
  [
    'a page',
    { download: page },
    /1 file without an ending \(of which one is a web page .* → download the file again/,
  ],
  [
    'a pointer',
    { 'a.dat': pointer },
    /1 \.dat file \(of which one is a Git LFS pointer.* → run git lfs pull/,
  ],
  ['arrays', { 'a.npy': 'x', 'b.tif': 'x' }, /1 \.npy file, 1 \.tif file → .*NIfTI.*; or convert these/],
  ['nothing', { 'sub/': '' }, /it holds no file → give/],
])('%s', async (_, tree, message) => {
  await expect(readDatasetIndex(await writeTree(tree), { anyFolder: true })).rejects.toThrow(message);
});

test('a pointer with the name of a scan is refused by what it is', async () => {
  const root = await writeTree({ 'a.nii.gz': pointer, 'b/1.png': pointer });
  const { scans } = await readDatasetIndex(root, { anyFolder: true });
  const { openSlices, readSliceFiles } = await import('../readers/slice-source.ts');
  const [volume, images] = scans;
  await expect(openSlices(volume!, await readSliceFiles(volume!.slices))).rejects.toThrow(
    /a\.nii\.gz: is a Git LFS pointer, not the file itself → run git lfs pull/,
  );
  const source = await openSlices(images!, await readSliceFiles(images!.slices));
  await expect(source.decode(0)).rejects.toThrow(/is a Git LFS pointer/);
});
