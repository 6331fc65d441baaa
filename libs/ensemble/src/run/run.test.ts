import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRecipe, requirePretrained } from './run.ts';

const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-run-'));
const cache = process.env['CT_ENSEMBLE_CACHE'];
beforeAll(() => void (process.env['CT_ENSEMBLE_CACHE'] = folder));
afterAll(() => {
  if (cache === undefined) delete process.env['CT_ENSEMBLE_CACHE'];
  else process.env['CT_ENSEMBLE_CACHE'] = cache;
});

const run = join(folder, 'run');

test('missing published weights are reported with the command that fetches them', async () => {
  const file = join(folder, 'weights', 'timm', 'densenet161.tv_in1k', 'model.safetensors');
  const recipe = await openRecipe('detection-paper');
  expect(() => requirePretrained(recipe, run)).toThrow(
    `${file}: the published weights of densenet161 are missing → npx nx run weights:fetch -- --architecture densenet161, or train with --from-scratch`,
  );
  for (const { name } of recipe.members) {
    await mkdir(join(run, 'members', name, 'checkpoints'), { recursive: true });
    await writeFile(join(run, 'members', name, 'checkpoints', 'last.safetensors'), '');
  }
  requirePretrained(recipe, run); // a run that goes on needs them no more
});

test('from scratch no published weights are asked for', async () => {
  const recipe = await openRecipe('detection-paper', { fromScratch: true });
  expect(recipe.members.map(({ pretrained }) => pretrained)).toEqual([false, false, false]);
  requirePretrained(recipe, join(folder, 'other-run'));
});
