// Training of one network: losses, optimizers, schedules, augmentations, the loop, checkpoints.
export { augment, type DrawKey, drawAugmentation, type Draws } from './augmentations/augment.ts';
export { bestCheckpoint, type EpochRecord, lastCheckpoint, type RunState } from './checkpoint.ts';
export { type CheckpointPlace, lastCheckpointPlace } from './checkpoint-place.ts';
export { canExtend } from './extend.ts';
export { readEpochSeconds } from './history.ts';
export type { Augmentation } from './augmentations/index.ts';
export { binaryCrossEntropy } from './losses/binary-cross-entropy.ts';
export { focalLoss } from './loss.ts';
export { computeLoss, type LossOptions } from './losses/index.ts';
export { historyFile } from './history.ts';
export { lungSegmenter, openLungSegmenter } from './lung-segmenter.ts';
export { meanOfRows, predictScans, StoppedError } from './predict.ts';
export { type DoneWeights, requireBest } from './resume.ts';
export { learningRateAt, type Schedule } from './schedules/index.ts';
export { trainingSchema, type TrainingOptions } from './schema.ts';
export { openSliceFilter, sliceFilter } from './slice-filter.ts';
export {
  requireSliceNetwork,
  sliceArchitectures,
  type SliceTask,
  type WeightsInMemory,
} from './slice-network.ts';
export {
  type SliceEpoch,
  type SliceProgress,
  type SliceTrainingOptions,
  trainingFolder,
  trainSliceNetwork,
} from './slice-training.ts';
export {
  accumulationStep,
  memberOptimizer,
  type OptimizerSettings,
  predictionStep,
  predictionSteps,
  trainingStep,
  type TrainingStepOptions,
  volumesTensor,
} from './step.ts';
export { type Progress, trainMember, type TrainOptions } from './train.ts';
