// A small run of one member, and its data set with a test scan more: the test set that comes after training.
import { cp, mkdtemp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from './run-command.ts';
import { writeInputs } from './train.ts';

export const tiny = { epochs: 1, edge: 16, members: ['one'] } as const;

/** A temporary folder with `data`, `later` (`data` and one more test scan), the recipe tiny.yaml and the run `r`. */
export async function trainedRun() {
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-predict-'));
  await writeInputs(folder, tiny);
  const trainer = (args: string, run = 'r') =>
    runCommand(folder, [...args.split(' '), '--run', run, '--devices', 'cpu:1', '--volumes', 'volumes']);
  const member = (file: string, run = 'r') => join(folder, run, 'members', 'one', file);
  const { code, output } = await trainer('all-members --data data --recipe tiny.yaml');
  if (code !== 0) throw new Error(output);
  await cp(join(folder, 'data'), join(folder, 'later'), { recursive: true });
  const scan = join(folder, 'later', 'test', (await readdir(join(folder, 'later', 'test')))[0]!);
  const slices = (await readdir(scan)).sort((a, b) => Number.parseInt(a) - Number.parseInt(b));
  // The slices of another scan in the opposite order, so that the scan is a new one.
  for (const [i, slice] of [...slices].reverse().entries())
    await cp(join(scan, slice), join(folder, 'later', 'test', 'test_ct_scan_99', slices[i]!));
  return { folder, trainer, member };
}
