// The commands filter and segmenter on small made-up data, as a person runs them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makePhantoms } from '@ct-ensemble/phantoms';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-slices-'));
  const counts = { train: { covid: 2, 'non-covid': 2 }, val: { covid: 0, 'non-covid': 0 }, test: { covid: 0, 'non-covid': 0 } }; // prettier-ignore
  await makePhantoms({ folder: join(folder, 'data'), seed: 3, counts, size: 48 });
  await writeTable();
  for (const name of ['a', 'b', 'c']) await writePair(name);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** In every scan the first slice is non-lung, the second edge, the others lung. */
async function writeTable() {
  const lines = ['where,slice,class'];
  for (const kind of ['covid', 'non-covid'])
    for (const scan of await readdir(join(folder, 'data', 'train', kind)))
      for (const slice of await readdir(join(folder, 'data', 'train', kind, scan))) {
        const k = Number.parseInt(slice);
        lines.push(`train/${kind}/${scan},${slice},${k === 0 ? 'non-lung' : k === 1 ? 'edge' : 'lung'}`);
      }
  await writeFile(join(folder, 'slices.csv'), lines.join('\n'));
}

/** Three slices of 24 × 24 with a square lung, as NIfTI. */
async function writePair(name: string) {
  const isLung = (i: number) => i % 24 > 8 && i % 24 < 16 && Math.floor(i / 24) % 24 > 6 && i % 576 < 430;
  const voxels = Array.from({ length: 3 * 576 }, (_, i) => isLung(i));
  for (const [below, values] of [
    ['images', voxels.map((lung) => (lung ? -800 : 40))],
    ['masks', voxels.map(Number)],
  ] as const) {
    // prettier-ignore
    const file = Buffer.alloc(352 + 2 * values.length);
    file.writeInt32LE(348, 0);
    [3, 24, 24, 3, 1, 1, 1, 1].forEach((dim, i) => file.writeInt16LE(dim, 40 + 2 * i));
    file.writeInt16LE(4, 70);
    file.writeInt16LE(16, 72);
    for (let i = 0; i < 4; i++) file.writeFloatLE(1, 76 + 4 * i);
    file.writeFloatLE(352, 108);
    file.write('n+1\0', 344, 'latin1');
    values.forEach((value, i) => file.writeInt16LE(value, 352 + 2 * i));
    await mkdir(join(folder, 'pairs', below), { recursive: true });
    await writeFile(join(folder, 'pairs', below, `${name}.nii`), file);
  }
}

/** Runs a command; `killAt`: dies at once when its output says so. */
async function run(args: string[], killAt?: RegExp) {
  const child = spawn(process.execPath, [main, ...args, '--device', 'cpu:1'], { cwd: folder });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece: Buffer) => {
      output += piece.toString();
      if (killAt?.test(output)) child.kill('SIGKILL');
    });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

const small = ['--size', '32', '--epochs', '3', '--batch', '4'];
const filter = (...more: string[]) =>
  run(['filter', '--data', 'data', '--labels', 'slices.csv', '--file-columns', 'where,slice', '--architecture', 'resnext_small', ...small, ...more]); // prettier-ignore
const segmenter = (...more: string[]) => ['segmenter', '--data', 'pairs', '--architecture', 'att_unet_small', ...small, ...more]; // prettier-ignore

test('filter: a line an epoch, what was left out, and the report as JSON', async () => {
  const { code, output } = await filter('--out', 'f.safetensors', '--val', 'train/covid/ct_scan_0');
  expect([code, output]).toEqual([0, expect.stringMatching(/^left out: 4 slices of edge$/m)]);
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

test('segmenter on volumes: killed and started again, it writes the same bytes', async () => {
  const whole = await run(segmenter('--out', 'one.safetensors'));
  expect([whole.code, whole.output]).toEqual([0, expect.stringMatching(/^slices of 32×32: 6 of 2 patients to train on, 3 of 1 held out$/m)]); // prettier-ignore
  const killed = await run(segmenter('--out', 'two.safetensors'), /epoch 1\/3/);
  expect(killed.code).toBeNull();
  const again = await run(segmenter('--out', 'two.safetensors'));
  expect([again.code, again.output]).toEqual([0, expect.stringMatching(/^resumed after epoch [12]\/3/m)]);
  expect((await readFile(join(folder, 'one.safetensors'))).equals(await readFile(join(folder, 'two.safetensors')))).toBe(true); // prettier-ignore
});

test('what will not do is told in one line', async () => {
  const told = async (args: string[]) => {
    const { code, output } = await run(args);
    expect(code).toBe(1);
    return output;
  };
  const cache = join(folder, 'empty-cache');
  const before = process.env['CT_ENSEMBLE_CACHE'];
  process.env['CT_ENSEMBLE_CACHE'] = cache;
  try {
    expect(
      await told(['filter', '--data', 'data', '--labels', 'slices.csv', '--out', 'x.safetensors']),
    ).toMatch(
      /^error: .*model\.safetensors: the published weights of resnext50_32x4d are not there → npx nx run weights:fetch -- --architecture resnext50_32x4d, or train with --from-scratch$/m,
    );
  } finally {
    if (before === undefined) delete process.env['CT_ENSEMBLE_CACHE'];
    else process.env['CT_ENSEMBLE_CACHE'] = before;
  }
  expect(await told(segmenter('--out', 'x.safetensors', '--val', 'nobody'))).toMatch(/^error: --val: there is no nobody → choose from a, b, c$/m); // prettier-ignore
  expect(await told(['filter', '--data', 'pairs', '--architecture', 'resnext_small', ...small, '--out', 'x.safetensors'])).toMatch(/^error: pairs: no slice is non-lung/m); // prettier-ignore
  expect(await told(segmenter('--out', 'x.safetensors', '--size', '50'))).toMatch(/^error: size 50: att_unet_small takes 4 pixels or more, a multiple of 4 → give 32$/m); // prettier-ignore
  expect(await told(segmenter('--out', 'x.pt'))).toMatch(/must be \.safetensors/);
});
