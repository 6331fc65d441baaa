// What every project's Jest shares: TypeScript through swc, ES modules, packages of this workspace from source.
import { fileURLToPath } from 'node:url';

export default {
  testMatch: ['<rootDir>/src/**/*.test.ts'],
  testEnvironment: fileURLToPath(new URL('./jest.environment.mjs', import.meta.url)),
  testEnvironmentOptions: {
    exportConditions: ['@ct-ensemble/source', 'node', 'node-addons', 'import', 'default'],
  },
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      {
        jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  transformIgnorePatterns: ['/node_modules/(?!@ct-ensemble/)'],
  sandboxInjectedGlobals: ['Math', 'Symbol'], // looked up in Jest's sandbox they are slow, and tfjs's loops look them up
  testTimeout: 60_000,
};
