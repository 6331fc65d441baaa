// Recipes, data sets, plan of members, coordinator and workers, probabilities, metrics, submission.
export {
  evaluate,
  evaluateSubsets,
  type EvaluatedMember,
  type Evaluation,
  type NamedSubset,
  type SubsetScores,
} from './results/evaluation.ts';
export { renderEvaluation } from './results/evaluation-text.ts';
export {
  type FoldedMember,
  groupsOf,
  outOfFold,
  type OutOfFold,
  type OutOfFoldScores,
} from './results/out-of-fold.ts';
export { renderOutOfFold } from './results/out-of-fold-text.ts';
export { csvOf } from './results/csv.ts';
export { didYouMean } from './names.ts';
export {
  majorityClass,
  meanProbabilities,
  predictions,
  readProbabilities,
  writeProbabilities,
  type FailedScan,
  type Probabilities,
  type ScanLabel,
} from './results/probabilities.ts';
export { type UnusableMember, type UsableMember } from './results/members.ts';
export {
  type EpochLine,
  type MemberResults,
  readRunResults,
  type RunResults,
} from './results/run-results.ts';
export { loadRecipe, parseRecipe, recipeNames } from './recipes/load.ts';
export { type RecipeOptions } from './recipes/problems.ts';
export { classesOf, preparationsOf, recipeSchema, type Recipe } from './recipes/schema.ts';
export {
  checkSubmission,
  failedReport,
  makeSubmission,
  readSubmission,
  writeSubmission,
  type Expected,
  type Submission,
  type SubmissionOptions,
} from './results/submission.ts';
export { type MemberEvent, type MemberOutcome, trainMembers } from './run/coordinator.ts';
export { classTable, type DatasetChoice } from './run/dataset.ts';
export { deviceName, parseDevices, thisMachine } from './run/devices.ts';
export { isFolded } from './run/folds.ts';
export { withNetworks } from './run/networks.ts';
export { type MemberPlan, type Plan, readPlan } from './run/plan.ts';
export {
  openRecipe,
  requirePretrained,
  requirePublished,
  prepareRun,
  prepareVolumes,
  type PreparedRun,
  type PrepareRunOptions,
} from './run/run.ts';
export {
  claimRun,
  datasetFile,
  doneFile,
  failedFile,
  memberFolder,
  planFile,
  predictionsFile,
  probabilitiesFile,
  splitsFile,
  submissionFolder,
} from './run-folder.ts';
export {
  evaluateRun,
  type RunEvaluation,
  type RunSubmission,
  type SubmissionResult,
  submitRun,
} from './results/results.ts';
