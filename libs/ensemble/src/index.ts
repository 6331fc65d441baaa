// Recipes, data sets, plan of members, coordinator and workers, probabilities, metrics, submission.
export {
  evaluate,
  evaluateSubsets,
  type EvaluatedMember,
  type Evaluation,
  type NamedSubset,
  type SubsetScores,
} from './results/evaluation.ts';
export {
  type ChosenCombination,
  type ChosenSubmissions,
  chosenSubmissions,
  choiceWords,
  type CombinationScores,
} from './results/combination.ts';
export { renderCombinations } from './results/combination-text.ts';
export { type AugmentationGain, augmentationGains, renderGains } from './results/augmentation-gain.ts';
export { renderEvaluation } from './results/evaluation-text.ts';
export {
  deviceOption,
  engineOption,
  positive,
  scanDeadlineOption,
  valuesOption,
  wholeFrom,
  wholeNumber,
} from './command-options.ts';
export { drawScanExplanation } from './explanation/drawing.ts';
export { explainFile, type ExplainFileOptions, type UnexplainedScan } from './explanation/explain-file.ts';
export { explainRun, type ExplainRunOptions } from './explanation/explain-run.ts';
export type {
  ExplainedScan,
  MemberExplanation,
  ScanExplanation,
  ScanMaps,
  SliceScore,
} from './explanation/explanation.ts';
export { explanationFigure, type FigurePicture } from './explanation/explanation-figure.ts';
export {
  explanationsFolder,
  readExplanations,
  type StoredExplanation,
  writeExplanation,
} from './explanation/explanation-files.ts';
export {
  type FoldedMember,
  groupsOf,
  outOfFold,
  type OutOfFold,
  type OutOfFoldScores,
} from './results/out-of-fold.ts';
export { renderOutOfFold } from './results/out-of-fold-text.ts';
export { csvOf } from './results/csv.ts';
export { didYouMean, safeFileNames } from './names.ts';
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
export { type MemberResults, readRunResults, type RunResults } from './results/run-results.ts';
export { loadRecipe, parseRecipe, recipeNames } from './recipes/load.ts';
export { type RecipeOptions } from './recipes/problems.ts';
export { readScans } from './run-records.ts';
export { classesOf, isChosen, preparationsOf, recipeSchema, type Recipe } from './recipes/schema.ts';
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
export { describePlan, type DescribeOptions, jobOf, type PlanDescription } from './planning/describe.ts';
export { type Expectation, expectMembers, requireMemory } from './planning/expectations.ts';
export { planRun, type PlanRunOptions } from './planning/plan-run.ts';
export { planText } from './planning/plan-text.ts';
export { knownProbe, probe, type Probe } from './planning/probe.ts';
export { clusterJob, type ClusterJob } from './cluster/job.ts';
export {
  requireMember,
  startMember,
  type StartMemberOptions,
  type StartOutcome,
} from './cluster/member-start.ts';
export { type MemberStart, readStarts } from './cluster/starts.ts';
export { type MemberEvent, type MemberOutcome, trainMembers } from './run/coordinator.ts';
export { openMembers } from './cluster/open-members.ts';
export {
  explainReason,
  isQueued,
  type QueuedTask,
  type SlurmQueue,
  slurmQueue,
  taskName,
} from './cluster/queue.ts';
export { shellWord } from './cluster/script.ts';
export {
  checkArgument,
  type ClusterOptions,
  clusterSettings,
  type ClusterSettings,
  memoryBytes,
  parseSite,
  readSite,
  timeSeconds,
} from './cluster/settings.ts';
export {
  dryRunJobs,
  type JobRecord,
  jobsOf,
  type PlannedJob,
  readJobRecords,
  slurmFolder,
  slurmLogsFolder,
  submitJobs,
  type SubmitJobsOptions,
  type SubmittedJob,
  type SubmittedJobs,
} from './cluster/jobs.ts';
export { classTable, type DatasetChoice } from './run/dataset.ts';
export { deviceName, divideGpuMemory, parseDevices, slotsOf, thisMachine } from './run/devices.ts';
export { type ExportedEnsemble, type ExportOptions } from './export/exported-members.ts';
export { exportOnnx } from './export/onnx-export.ts';
export { exportPyTorch } from './export/pytorch-export.ts';
export { type Clock, realClock, type VirtualClock, virtualClock } from './run/clock.ts';
export {
  type Attempt,
  type DeviceSlot,
  type Failure,
  type FailureKind,
  type Job,
  type JobOutcome,
  type Lease,
  moreMicroBatches,
  schedule,
  type ScheduleEvent,
  type ScheduleOptions,
} from './run/schedule.ts';
export { isFolded } from './run/folds.ts';
export type { SliceDraws } from './run/slice-draws.ts';
export {
  augmentationName,
  parseAugmentation,
  type TestTimeAugmentation,
} from './run/test-time-augmentation.ts';
export { withNetworks } from './run/networks.ts';
export { type MemberPlan, type Plan, readPlan } from './run/plan.ts';
export {
  type CheckedRun,
  checkRun,
  openRecipe,
  requirePretrained,
  requirePublished,
  prepareRun,
  prepareVolumes,
  type PreparedRun,
  type PrepareRunOptions,
} from './run/run.ts';
export {
  type CoordinatorRecord,
  type FailedRecord,
  type Isolation,
  isolations,
  type ProgressRecord,
  readCoordinator,
  readFailed,
  readProgress,
} from './run-status.ts';
export {
  augmentedFile,
  claimRun,
  coordinatorFile,
  datasetFile,
  doneFile,
  failedFile,
  logFile,
  memberFolder,
  planFile,
  predictionsFile,
  probabilitiesFile,
  progressFile,
  rotatedLogFile,
  splitsFile,
  startsFile,
  submissionFolder,
} from './run-folder.ts';
export {
  checkSubmissions,
  type CheckedSubmission,
  type SubmissionAgreement,
  type SubmissionFinding,
} from './results/submission-check.ts';
export { submissionNames } from './results/scan-names.ts';
export {
  evaluateResults,
  evaluateRun,
  expectedInRun,
  type RunEvaluation,
  type RunSubmission,
  type SubmissionResult,
  submitRun,
} from './results/results.ts';
export { type ClusterJobState, clusterReader, type ClusterState } from './watching/cluster.ts';
export { type EpochLine } from './watching/history.ts';
export {
  isActive,
  type MemberState,
  memberStates,
  type MemberStatus,
  readLogTail,
  type RunReader,
  runReader,
  type RunState,
  type RunStatus,
  runStatus,
} from './watching/status.ts';
export { type TensorboardWriter, tensorboardWriter } from './watching/tensorboard.ts';
export { timeLeft, type TimeLeftOptions } from './watching/time-left.ts';
export { loadEnsembleFile, type EnsembleFile } from './ensemble-file/load.ts';
export type { EnsembleScores, Manifest, ManifestMember } from './ensemble-file/manifest.ts';
export { modelCard } from './ensemble-file/model-card.ts';
export type { ScanFinding } from './ensemble-file/likeness.ts';
export { packEnsemble, type Packed, type PackOptions } from './ensemble-file/pack.ts';
export type { Answer, Answered, Unanswered } from './prediction/answers.ts';
export {
  type Ensemble,
  openEnsemble,
  type OpenEnsembleOptions,
  type PredictOptions,
  type ScanSource,
} from './prediction/ensemble.ts';
export { findScans, type FoundScans, type ScanEntry } from '@ct-ensemble/data';
