// One member's run: loss, schedule, loop, checkpoints.
export { augment, type DrawKey, drawAugmentation, type Draws } from './augment.ts';
export {
  bestCheckpoint,
  type EpochRecord,
  lastCheckpoint,
  loadCheckpoint,
  type RunState,
  saveCheckpoint,
} from './checkpoint.ts';
export { focalLoss } from './loss.ts';
export {
  type Augmentation,
  type FactorRange,
  type Interpolation,
  learningRateAt,
  type TrainingOptions,
} from './options.ts';
export { predictScans, StoppedError } from './predict.ts';
export { memberOptimizer, predictionStep, trainingStep, volumesTensor } from './step.ts';
export { type Progress, trainMember, type TrainOptions } from './train.ts';
