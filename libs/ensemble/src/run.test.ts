import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Recipe } from './recipe.ts';
import { openRecipe, prepareRun } from './run.ts';

const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-run-'));
const cache = process.env['CT_ENSEMBLE_CACHE'];
beforeAll(() => void (process.env['CT_ENSEMBLE_CACHE'] = folder));
afterAll(() => {
  if (cache === undefined) delete process.env['CT_ENSEMBLE_CACHE'];
  else process.env['CT_ENSEMBLE_CACHE'] = cache;
});

const prepare = (recipe: Recipe) =>
  prepareRun({
    recipe,
    data: join(folder, 'no-scans'),
    run: join(folder, 'run'),
    devices: 'cpu:1',
    engine: 'tensorflow',
    store: folder,
  });

test('published weights that are not there are told first, with the command that fetches them', async () => {
  const file = join(folder, 'weights', 'timm', 'densenet161.tv_in1k', 'model.safetensors');
  await expect(prepare(await openRecipe('detection-paper'))).rejects.toThrow(
    `${file}: the published weights of densenet161 are not there → npx nx run weights:fetch -- --architecture densenet161, or train with --from-scratch`,
  );
});

test('a member of a network without published weights cannot start from them', async () => {
  const recipe = await openRecipe('quick');
  const members = recipe.members.map((member) => ({ ...member, pretrained: true }));
  await expect(prepare({ ...recipe, members })).rejects.toThrow(
    /: no weights are published for densenet_small/,
  );
});

test('from scratch no published weights are asked for', async () => {
  const recipe = await openRecipe('detection-paper', { fromScratch: true });
  expect(recipe.members.map(({ pretrained }) => pretrained)).toEqual([false, false, false]);
  await expect(prepare(recipe)).rejects.toThrow(/no-scans/);
});
