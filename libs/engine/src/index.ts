// TensorFlow 2.21's C library under tfjs: library, devices, binding, captured steps.
export { tensorOfBytes } from './backend.ts';
export { batchNormTraining, type BatchNormTrainingArgs, type BatchNormTrainingResult } from './batch-norm.ts';
export { blendRows, type BlendRowsArgs } from './blend-rows.ts';
export {
  capture,
  precisionOf,
  type CapturedStep,
  type CaptureOptions,
  type CaptureReport,
  type Tensors,
} from './capture.ts';
export type { Device, DeviceInfo } from './device.ts';
export { listDevices } from './devices.ts';
export { type Engine, type EngineKind, type EngineOptions, openEngine } from './engine.ts';
export { EngineError } from './errors.ts';
export { dropout, type DropoutOptions } from './dropout.ts';
export { type Adam, type AdamOptions, type AdamSlots, createAdam } from './optimizer.ts';
export { createLossScale, type LossScale, type LossScaleOptions } from './loss-scale.ts';
export { onlyIf } from './only-if.ts';
export type { Precision, PrecisionChoice } from './precision.ts';
export { recompute } from './recompute.ts';
export { cacheFolder, findTensorFlow, TENSORFLOW_VERSION } from './library.ts';
export { groupedConv2d, type GroupedConv2dArgs } from './grouped-conv.ts';
export { GROUPED_CONV2D } from './kernels/grouped-conv2d.ts';
export { installTensorFlow } from './install.ts';
export type { Numerics } from './numerics.ts';
export { usableGpus } from './gpus.ts';
