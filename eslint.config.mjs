// Lint rules of the whole workspace. The layers are the house: a room imports only rooms below it.
import js from '@eslint/js';
import nx from '@nx/eslint-plugin';
import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

const layers = ['docs', 'app', 'ensemble', 'evaluation', 'training', 'data', 'models', 'engine', 'core'];
const narrower = { evaluation: ['evaluation', 'core'] }; // pure functions over probabilities: no tensors, no files
const native = ['koffi', '@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node-gpu/*'];
const depConstraints = layers.map((layer, i) => ({
  sourceTag: `layer:${layer}`,
  onlyDependOnLibsWithTags: (narrower[layer] ?? layers.slice(layer === 'app' ? i + 1 : i)).map(
    (below) => `layer:${below}`,
  ),
  ...(layer === 'engine' ? {} : { bannedExternalImports: native }),
}));

export default tseslint.config(
  { ignores: ['**/jest.config.mjs', '**/dist', '**/out-tsc', '**/node_modules', '.nx', 'runs', 'datasets'] },
  js.configs.recommended,
  ...tseslint.configs.recommended,
  ...nx.configs['flat/base'],
  {
    files: ['**/*.ts', '**/*.mjs'],
    rules: {
      '@nx/enforce-module-boundaries': [
        'error',
        { enforceBuildableLibDependency: false, allow: [], depConstraints },
      ],
      'max-params': ['error', 3],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/consistent-type-imports': 'error',
    },
  },
  {
    // A path that a user gives, or that lies in the user's folders, may lead to a pipe, a device or a huge file.
    files: ['libs/{data,ensemble,models,training}/src/**/*.ts', 'apps/*/src/**/*.ts'],
    ignores: ['**/*.test.ts', '**/*.fixture.ts', '**/testing/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: ['fs', 'node:fs', 'fs/promises', 'node:fs/promises'].map((name) => ({
            name,
            importNames: ['createReadStream', 'open', 'openAsBlob', 'openSync', 'readFile', 'readFileSync'],
            message: 'Use readRegularFile, readRegularText or openRegularFile of @ct-ensemble/core.',
          })),
        },
      ],
    },
  },
  {
    files: ['**/*.mjs'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly' } },
  },
  prettier,
);
