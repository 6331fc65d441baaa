// Network architectures, their registry and their weights.
export {
  architectureNames,
  architectureOf,
  architectures,
  buildModel,
  buildNetwork,
  classifierNames,
  type Model,
  type ModelOptions,
} from './registry.ts';
export { type Described, describedIn, describing } from './description.ts';
export {
  importPretrained,
  loadPretrained,
  pretrainedFile,
  type PretrainedReport,
} from './weights/pretrained.ts';
export {
  PUBLISHED,
  type PublishedFile,
  readRecord,
  recordFile,
  type Trust,
  verifyPublished,
  type WeightsRecord,
} from './weights/published.ts';
export type { Architecture, Classifier, Pretrained, Segmenter } from './network.ts';
export type { Layer, Mode } from './layers.ts';
export {
  fromPyTorch,
  pytorchShape,
  tfjsAxes,
  toPyTorch,
  type Layout,
  type Parameter,
  type Parameters,
} from './weights/parameters.ts';
export {
  asFloat16,
  asFloat32,
  encodeSafetensors,
  readSafetensors,
  writeSafetensors,
  type Dtype,
  type Metadata,
  type Safetensors,
  type StoredTensor,
  type StoredTensorOf,
  type StoredTensors,
} from './weights/safetensors.ts';
export { digestedParts, digestOfTensors, hasDigests, withDigests } from './weights/digest.ts';
export { exportTensors, importTensors, loadWeights, saveWeights } from './weights/weights.ts';
