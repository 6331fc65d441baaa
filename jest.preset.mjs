// What every project's Jest shares: TypeScript through swc, ES modules. The other packages of this workspace are
// used as built, so build before running Jest by hand.
// Slow tests (endurance, threads, determinism, several processes; over about 5 s) are named *.slow.test.ts. The
// target `test` leaves them out; the target `test-slow` sets SLOW_TESTS=1 and runs only them.
import { fileURLToPath } from 'node:url';

const slow = process.env.SLOW_TESTS === '1';

export default {
  testMatch: [slow ? '<rootDir>/src/**/*.slow.test.ts' : '<rootDir>/src/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', ...(slow ? [] : ['\\.slow\\.test\\.ts$'])],
  testEnvironment: fileURLToPath(new URL('./jest.environment.mjs', import.meta.url)),
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
  testTimeout: slow ? 180_000 : 60_000,
};
