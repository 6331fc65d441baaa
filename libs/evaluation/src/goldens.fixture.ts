// Reference values of the evaluation, computed with numpy, scikit-learn and scipy, which lie in the folder `shared` beside the checkout.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const shared =
  process.env['CT_ENSEMBLE_SHARED'] ?? resolve(dirname(fileURLToPath(import.meta.url)), '../../../../shared');

/** Reference values of one file of shared/goldens; null, and the tests below it skipped with the reason, if it is absent. */
export function describeGoldens<T>(file: string, body: (goldens: T) => void): void {
  const path = join(shared, 'goldens', file);
  if (!existsSync(path)) {
    describe(`reference values ${file}`, () =>
      test.skip(`(no shared/goldens/${file} beside the checkout)`, () => undefined));
    return;
  }
  describe(`reference values ${file}`, () => body(JSON.parse(readFileSync(path, 'utf8')) as T));
}

/** Greatest difference of two nested lists or numbers; Infinity where their shapes or nulls differ. */
export function difference(actual: unknown, expected: unknown): number {
  if (Array.isArray(expected) && Array.isArray(actual)) {
    if (actual.length !== expected.length) return Infinity;
    return expected.reduce<number>((most, value, i) => Math.max(most, difference(actual[i], value)), 0);
  }
  if (typeof expected === 'number' && typeof actual === 'number') return Math.abs(actual - expected);
  return (actual ?? null) === (expected ?? null) ? 0 : Infinity;
}
