// Public API of the engine, which runs tfjs on TensorFlow 2.21's C library.
export { tensorOfBytes } from './backend/backend.ts';
export {
  batchNormTraining,
  type BatchNormTrainingArgs,
  type BatchNormTrainingResult,
} from './training/batch-norm.ts';
export { blendRows, type BlendRowsArgs } from './ops/blend-rows.ts';
export {
  capture,
  captureAlike,
  precisionOf,
  type CapturedStep,
  type CapturedSteps,
  type CaptureOptions,
  type CaptureReport,
  type StepOf,
  type Tensors,
} from './capture/capture.ts';
export type { Device, DeviceInfo } from './devices/device.ts';
export { listDevices } from './devices/devices.ts';
export { type Engine, type EngineKind, type EngineOptions, openEngine } from './engine.ts';
export { EngineError, isOutOfMemory } from './errors.ts';
export { dropout, type DropoutOptions } from './training/dropout.ts';
export {
  type AdamOptions,
  adamRule,
  type AdamRuleOptions,
  createAdam,
  createOptimizer,
  type Optimizer,
  type OptimizerOptions,
  type OptimizerRule,
  type OptimizerSlot,
  updateInPlace,
  type VariableUpdate,
} from './training/optimizer.ts';
export { createLossScale, type LossScale, type LossScaleOptions } from './training/loss-scale.ts';
export { onlyIf } from './ops/only-if.ts';
export type { Precision, PrecisionChoice } from './capture/precision.ts';
export { recompute } from './ops/recompute.ts';
export { cacheFolder, findTensorFlow, TENSORFLOW_VERSION } from './library/library.ts';
export { groupedConv2d, type GroupedConv2dArgs } from './ops/grouped-conv.ts';
export { GROUPED_CONV2D } from './kernels/grouped-conv2d.ts';
export { installTensorFlow } from './library/install.ts';
export { pythonEnvironment } from './library/python.ts';
export type { Numerics } from './numerics.ts';
export { usableGpus } from './devices/gpus.ts';
