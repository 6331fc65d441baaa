// The NIfTI reader under damage, a sample of what nifti.damage.slow.test.ts reads.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '../../testing/dataset.fixture.ts';
import {
  countDamagedReads,
  filesThatClaimGigabytes,
  readWithHeaderByteChanged,
  refuseAll,
} from './nifti-damage.fixture.ts';

const folder = await temporaryFolder();

test('damaged files: a scan or a UserError each', async () => {
  const { read, refused, seconds } = await countDamagedReads(folder, 36);
  expect(read).toBeGreaterThan(3);
  expect(refused).toBeGreaterThan(10);
  expect(seconds).toBeLessThan(2);
});

test('a changed byte of the header: a scan or a UserError', async () => {
  expect((await readWithHeaderByteChanged(folder, 9)).seconds).toBeLessThan(2);
});

test('small files that claim gigabytes are refused', async () => {
  const files = filesThatClaimGigabytes();
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
  const cost = await refuseAll(folder, Object.keys(files));
  expect(cost.seconds).toBeLessThan(2);
  expect(cost.megabytes).toBeLessThan(300);
});
