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
export { binaryCrossEntropy, focalLoss } from './loss.ts';
export { lungSegmenter, openLungSegmenter } from './lung-segmenter.ts';
export {
  type Augmentation,
  type FactorRange,
  type Interpolation,
  learningRateAt,
  type TrainingOptions,
} from './options.ts';
export { predictScans, StoppedError } from './predict.ts';
export { trainingSchema } from './schema.ts';
export { openSliceFilter, sliceFilter } from './slice-filter.ts';
export { requireSliceNetwork, sliceArchitectures, type SliceTask } from './slice-network.ts';
export {
  type SliceEpoch,
  type SliceTrainingOptions,
  trainingFolder,
  trainSliceNetwork,
} from './slice-training.ts';
export { memberOptimizer, predictionStep, trainingStep, volumesTensor } from './step.ts';
export { type Progress, trainMember, type TrainOptions } from './train.ts';
