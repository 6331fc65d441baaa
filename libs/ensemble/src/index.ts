// Recipes, plan of members, coordinator and workers, probabilities, metrics, submission.
export {
  evaluate,
  evaluateSubsets,
  renderEvaluation,
  type EvaluatedMember,
  type Evaluation,
  type SubsetScores,
} from './evaluation.ts';
export { argmax, confusionMatrix, f1PerClass, macroF1, scoresOf, type Scores } from './metrics.ts';
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
} from './probabilities.ts';
export {
  loadRecipe,
  parseRecipe,
  preparationsOf,
  recipeNames,
  recipeSchema,
  type Recipe,
  type RecipeOptions,
} from './recipe.ts';
export {
  checkSubmission,
  failedReport,
  makeSubmission,
  readSubmission,
  writeSubmission,
  type Expected,
  type Submission,
  type SubmissionOptions,
} from './submission.ts';
export { type MemberEvent, type MemberOutcome, trainMembers } from './coordinator.ts';
export { deviceName, parseDevices, thisMachine } from './devices.ts';
export { withNetworks } from './networks.ts';
export { type MemberPlan, type Plan, readPlan } from './plan.ts';
export {
  openRecipe,
  requirePretrained,
  requirePublished,
  prepareRun,
  prepareVolumes,
  type PreparedRun,
  type PrepareRunOptions,
} from './run.ts';
export {
  claimRun,
  datasetFile,
  doneFile,
  failedFile,
  memberFolder,
  planFile,
  probabilitiesFile,
  submissionFolder,
} from './run-folder.ts';
export {
  evaluateRun,
  type RunEvaluation,
  type RunSubmission,
  type SubmissionResult,
  submitRun,
} from './results.ts';
