// Randomness, files, claims and errors: used by every other package of the project.
export { type Claim, claimFolder, type ClaimOptions } from './claim.ts';
export { asUserError, codeOf, messageOf, UserError, type UserErrorOptions } from './errors.ts';
export * as fields from './fields.ts';
export { readJson, sha256OfFile, sweepTemporaryFiles, writeFileAtomic, writeJson } from './files.ts';
export {
  hash32,
  permutation,
  philox4x32,
  randomStream,
  type RandomKey,
  type RandomStream,
} from './random.ts';
export { type Program, runProgram } from './run-program.ts';
