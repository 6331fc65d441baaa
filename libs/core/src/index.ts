// Randomness, files, claims and errors: used by every other package of the project.
export {
  type Claim,
  ClaimedError,
  claimFolder,
  type ClaimHolder,
  claimHolder,
  type ClaimOptions,
} from './claim.ts';
export { asUserError, codeOf, messageOf, UserError, type UserErrorOptions } from './errors.ts';
export { fenced, LostClaimError, requireFence } from './fence.ts';
export * as fields from './fields.ts';
export { readJson, sha256OfFile, sweepTemporaryFiles, writeFileAtomic, writeJson } from './files.ts';
export { escapeHtml } from './html.ts';
export { identitySchema, ownIdentity, type ProcessIdentity, stateOf } from './process-identity.ts';
export { type Host, usableCores, usableMemory } from './host.ts';
export { print, printError, printable, printableLines } from './printable.ts';
export {
  hash32,
  permutation,
  philox4x32,
  randomStream,
  type RandomKey,
  type RandomStream,
} from './random.ts';
export {
  type FolderEntries,
  irregularity,
  MAX_BYTES,
  openRegularFile,
  readFolder,
  type ReadOptions,
  readRegularFile,
  readRegularText,
  type RegularFile,
  regularFileChunks,
} from './regular-files.ts';
export { type Program, runProgram } from './run-program.ts';
export { sameKeypress, stopNotice, type Stopping, stoppedNotice, stopOnSignal } from './signals.ts';
