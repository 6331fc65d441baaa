// Jest gives each test file typed-array constructors of its own, and `instanceof Float32Array` then fails for
// arrays made by native modules. This environment hands the test file those of the process.
import { TestEnvironment } from 'jest-environment-node';

const shared = [
  'ArrayBuffer', 'SharedArrayBuffer', 'DataView', 'Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array',
  'Uint16Array', 'Int32Array', 'Uint32Array', 'Float32Array', 'Float64Array', 'BigInt64Array', 'BigUint64Array',
]; // prettier-ignore

export default class extends TestEnvironment {
  async setup() {
    await super.setup();
    for (const name of shared) this.global[name] = globalThis[name];
  }
}
