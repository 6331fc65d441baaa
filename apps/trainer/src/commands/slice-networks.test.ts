// The commands filter and segmenter on small synthetic data.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../testing/run-command.ts';
import { filterArgs, segmenterArgs, small, writeSliceData } from '../testing/slice-data.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-slices-'));
  await writeSliceData(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const filter = (...more: string[]) => runCommand(folder, [...filterArgs, ...more]);
const segmenter = (...more: string[]) => [...segmenterArgs, ...more];

test('filter: prints a line for each epoch and the slices left out, or a report as JSON', async () => {
  const { code, output } = await filter('--out', 'f.safetensors', '--val', 'train/covid/ct_scan_0');
  expect([code, output]).toEqual([0, expect.stringMatching(/^left out: 4 slices \(edge\)$/m)]);
  expect(output).toMatch(/^slices of 32×32: \d+ of 3 patients to train on, \d+ of 1 held out$/m);
  expect(
    output.match(/^epoch \d\/3, loss \d\.\d+, score .*accuracy .*lungKept .*nonLungLeftOut/gm),
  ).toHaveLength(3);
  expect(output).toMatch(/^best epoch \d, score .*: f\.safetensors$/m);
  const { output: json } = await filter('--out', 'g.safetensors', '--val', 'train/covid/ct_scan_0', '--json');
  const report = JSON.parse(json) as { groups: { val: string[] }; history: unknown[]; leftOut: unknown };
  expect(report).toMatchObject({ kind: 'slice-filter', size: 32, leftOut: { edge: 4 } });
  expect([report.groups.val, report.history.length]).toEqual([['train/covid/ct_scan_0'], 3]);
  expect((await readFile(join(folder, 'f.safetensors'))).equals(await readFile(join(folder, 'g.safetensors')))).toBe(true); // prettier-ignore
});

test('segmenter: trains on NIfTI volumes', async () => {
  const { code, output } = await runCommand(folder, segmenter('--out', 'one.safetensors'));
  expect([code, output]).toEqual([0, expect.stringMatching(/^slices of 32×32: 6 of 2 patients to train on, 3 of 1 held out$/m)]); // prettier-ignore
  expect(output).toMatch(/^best epoch \d, score .*: one\.safetensors$/m);
});

test('bad input is reported in one line', async () => {
  const errorOf = async (args: string[]) => {
    const { code, output } = await runCommand(folder, args);
    expect(code).toBe(1);
    return output;
  };
  const cache = join(folder, 'empty-cache');
  const before = process.env['CT_ENSEMBLE_CACHE'];
  process.env['CT_ENSEMBLE_CACHE'] = cache;
  try {
    expect(
      await errorOf(['filter', '--data', 'data', '--labels', 'slices.csv', '--out', 'x.safetensors']),
    ).toMatch(
      /^error: .*model\.safetensors: the published weights of resnext50_32x4d are missing → npx nx run weights:fetch -- --architecture resnext50_32x4d, or train with --from-scratch$/m,
    );
  } finally {
    if (before === undefined) delete process.env['CT_ENSEMBLE_CACHE'];
    else process.env['CT_ENSEMBLE_CACHE'] = before;
  }
  expect(await errorOf(segmenter('--out', 'x.safetensors', '--val', 'nobody'))).toMatch(/^error: --val: there is no nobody → choose from a, b, c$/m); // prettier-ignore
  expect(await errorOf(['filter', '--data', 'pairs', '--architecture', 'resnext_small', ...small, '--out', 'x.safetensors'])).toMatch(/^error: pairs: no slice is non-lung/m); // prettier-ignore
  expect(await errorOf(segmenter('--out', 'x.safetensors', '--size', '50'))).toMatch(/^error: size 50: att_unet_small takes 4 pixels or more, a multiple of 4 → give 32$/m); // prettier-ignore
  expect(await errorOf(segmenter('--out', 'x.pt'))).toMatch(/must be \.safetensors/);
});
