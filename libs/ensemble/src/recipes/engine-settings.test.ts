// Settings of the engine: from a recipe and a command line to what an engine is opened with.
import type { Device } from '@ct-ensemble/engine';
import {
  bytesOf,
  engineOptionsOf,
  requireFloat16,
  requireLimitable,
  withOverrides,
} from './engine-settings.ts';
import { loadRecipe } from './load.ts';

const gpu: Device = { kind: 'gpu', index: 1 };
const cpu: Device = { kind: 'cpu', index: 0, threads: 2 };

test.each([
  ['8GiB', 8 * 2 ** 30],
  ['1.5 GB', 1.5e9],
  ['500MiB', 500 * 2 ** 20],
  ['3MB', 3e6],
])('%s in bytes', (text, bytes) => expect(bytesOf(text)).toBe(bytes));

test('the command line takes the place of single settings of the recipe', async () => {
  const recipe = { ...(await loadRecipe('quick')), engine: { tf32: true, memoryLimit: '2GiB' } };
  expect(withOverrides(recipe, {})).toEqual(recipe);
  const changed = withOverrides(recipe, {
    fromScratch: true,
    precision: 'mixed',
    tf32: false,
    deterministic: true,
  });
  expect(changed.engine).toEqual({ tf32: false, deterministic: true, memoryLimit: '2GiB' });
  expect(changed.training).toEqual({ ...recipe.training, precision: 'mixed' });
  expect(changed.members.some(({ pretrained }) => pretrained)).toBe(false);
  expect(() => withOverrides(recipe, { memoryLimit: '8' })).toThrow(
    '--memory-limit: "8" must be a size such as 8GiB or 500MiB',
  );
});

test('an engine is opened with them; the limit is for GPUs', () => {
  const settings = { tf32: true, deterministic: false, memoryLimit: '1GiB' };
  const switches = { tf32: true, deterministic: false };
  expect(engineOptionsOf(gpu, settings)).toEqual({ device: { ...gpu, memoryLimit: 2 ** 30 }, ...switches });
  expect(engineOptionsOf(cpu, settings)).toEqual({ device: cpu, ...switches });
  expect(engineOptionsOf(cpu)).toEqual({ device: cpu });
});

test('what no device of the run can do is refused', async () => {
  expect(() => requireLimitable({ memoryLimit: '1GiB' }, [cpu])).toThrow(/memory limit of 1GiB is for GPUs/);
  requireLimitable({ memoryLimit: '1GiB' }, [cpu, gpu]);
  requireLimitable(undefined, [cpu]);
  const half = withOverrides(await loadRecipe('quick'), { precision: 'mixed-float16' });
  expect(() => requireFloat16(half, [gpu, cpu], 'tensorflow')).toThrow(
    /mixed-float16 is for GPUs.*→ set the precision/,
  );
  requireFloat16(half, [gpu], 'tensorflow');
  requireFloat16(half, [cpu], 'cpu');
});
