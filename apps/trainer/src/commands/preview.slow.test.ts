// The command preview, run twice on the same data set.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makePhantoms } from '@ct-ensemble/phantoms';
import { runCommand } from '../testing/run-command.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-preview-'));
  const one = { covid: 1, 'non-covid': 1 };
  await makePhantoms({
    folder: join(folder, 'data'),
    seed: 3,
    counts: { train: one, val: one, test: one },
    size: 48,
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('a second run over the same folder leaves every file as it was', async () => {
  const written = async () => {
    const args = '--data data --recipe quick --volumes volumes --out all'.split(' ');
    expect(await runCommand(folder, ['preview', ...args])).toMatchObject({ code: 0 });
    const names = (await readdir(join(folder, 'all', 'sheets'))).sort().map((name) => join('sheets', name));
    const files = ['index.html', ...names];
    return Promise.all(
      files.map(async (file) => [file, await readFile(join(folder, 'all', file), 'base64')]),
    );
  };
  const first = await written();
  expect(first).toHaveLength(13);
  expect(await written()).toEqual(first);
});
