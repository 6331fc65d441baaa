// The command segmenter, killed during training and started again.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { segmenterArgs, writeSliceData } from '../testing/slice-data.ts';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-slices-'));
  await writeSliceData(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs the segmenter in a process of its own; it is killed as soon as its output matches `killAt`. */
async function segmenter(out: string, killAt?: RegExp) {
  const child = spawn(process.execPath, [main, ...segmenterArgs, '--out', out], { cwd: folder });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece: Buffer) => {
      output += piece.toString();
      if (killAt?.test(output)) child.kill('SIGKILL');
    });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

test('segmenter: killed and started again, it writes the same bytes', async () => {
  expect(await segmenter('one.safetensors')).toMatchObject({ code: 0 });
  const killed = await segmenter('two.safetensors', /epoch 1\/3/);
  expect(killed.code).toBeNull();
  const again = await segmenter('two.safetensors');
  expect([again.code, again.output]).toEqual([0, expect.stringMatching(/^resumed after epoch [12]\/3/m)]);
  const [one, two] = await Promise.all(
    ['one', 'two'].map((name) => readFile(join(folder, `${name}.safetensors`))),
  );
  expect(two!.equals(one!)).toBe(true);
});
