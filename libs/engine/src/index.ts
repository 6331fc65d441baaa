// TensorFlow 2.21's C library under tfjs: library, devices, binding, captured steps.
export { tensorOfBytes } from './backend.ts';
export { batchNormTraining, type BatchNormTrainingArgs, type BatchNormTrainingResult } from './batch-norm.ts';
export { capture, type CapturedStep, type Tensors } from './capture.ts';
export type { Device } from './context.ts';
export { type Engine, type EngineKind, openEngine } from './engine.ts';
export { EngineError } from './errors.ts';
export { cacheFolder, findTensorFlow, TENSORFLOW_VERSION } from './library.ts';
export { installTensorFlow } from './install.ts';
export { usableGpus } from './gpus.ts';
