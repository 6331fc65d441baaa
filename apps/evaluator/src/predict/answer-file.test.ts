// Only one writer at a time has a file of answers.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openAnswerFile } from './answer-file.ts';
import { csvFormat } from './formats.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-answers-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('a second writer gets an error that names the file; after the first has closed it, it gets the file', async () => {
  const file = join(folder, 'a.csv');
  const about = { format: csvFormat(['a', 'b'], ['one']), model: 'x' };
  const first = await openAnswerFile(file, about);
  await expect(openAnswerFile(file, about)).rejects.toThrow(
    /a\.csv\.claim: this process \(\d+\) has already claimed the folder/,
  );
  const other = await openAnswerFile(join(folder, 'b.csv'), about);
  await first.close();
  await (await openAnswerFile(file, about)).close();
  await other.close();
  expect((await readdir(folder)).sort()).toEqual(['a.csv', 'b.csv']);
});

test('a file that is refused is given up', async () => {
  const file = join(folder, 'a.csv');
  const open = (model: string) => openAnswerFile(file, { format: csvFormat([model], []), model });
  await (await open('x')).close();
  await expect(open('y')).rejects.toThrow(/other columns/);
  await (await open('x')).close();
  expect(await readdir(folder)).toEqual(['a.csv']);
});
