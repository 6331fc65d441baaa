// Randomness, files and errors: what every room needs and no room owns.
export { codeOf, messageOf, UserError, type UserErrorOptions } from './errors.ts';
export * as fields from './fields.ts';
export { readJson, sha256OfFile, writeFileAtomic, writeJson } from './files.ts';
export {
  hash32,
  permutation,
  philox4x32,
  randomStream,
  type RandomKey,
  type RandomStream,
} from './random.ts';
export { type Program, runProgram } from './run-program.ts';
