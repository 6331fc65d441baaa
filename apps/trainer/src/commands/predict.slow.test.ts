// What else may change after training: members and epochs may be added.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { recipeOf } from '../testing/train.ts';
import { tiny, trainedRun } from '../testing/trained-run.ts';

let { folder, trainer, member } = {} as Awaited<ReturnType<typeof trainedRun>>;
beforeAll(async () => {
  ({ folder, trainer, member } = await trainedRun());
  expect(await trainer('predict --data later')).toMatchObject({ code: 0 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('the same recipe with another member trains that one only', async () => {
  const text = recipeOf({ ...tiny, members: ['one', 'two'] }).replace('Small members', 'Two members');
  await writeFile(join(folder, 'two.yaml'), text);
  const { code, output } = await trainer('all-members --data later --recipe two.yaml');
  expect(output).toMatch(/^new in the recipe: two$/m);
  expect(output).toMatch(/^one: already done/m);
  expect(output).toMatch(/^two: epoch 1\/1/m);
  expect(code).toBe(0);
});

test('epochs that are added end with the bytes of a run that had them from the start', async () => {
  await writeFile(join(folder, 'more.yaml'), recipeOf({ ...tiny, epochs: 2 }));
  const { code, output } = await trainer('all-members --data later --recipe more.yaml');
  expect(output).toMatch(/^training\.epochs was 1 and is now 2: all members are trained on$/m);
  expect(output).toMatch(/^no longer in the recipe, kept in the run's folder and not used: two$/m);
  expect(output).toMatch(/^one: resumed from its checkpoint after epoch 1 of 2$/m);
  expect(code).toBe(0);
  expect(await trainer('all-members --data later --recipe more.yaml', 'straight')).toMatchObject({ code: 0 });
  for (const split of ['val', 'test'])
    expect(await readFile(member(`probabilities/${split}.json`), 'utf8')).toBe(
      await readFile(member(`probabilities/${split}.json`, 'straight'), 'utf8'),
    );
});
