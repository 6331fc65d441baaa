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
export {
  CAM_METHODS,
  classActivationMap,
  type CamMethod,
  type Planes,
  shownMap,
  type ValueMap,
} from './explain/cam.ts';
export {
  explain,
  type Explanation,
  type ExplainOptions,
  explainVolume,
  type GreyVolume,
  type ViewExplanation,
} from './explain/explain.ts';
export { rankOf, type SliceMaps, sliceMaps, type SliceMapsOptions } from './explain/slice-maps.ts';
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
export { ONNX_LIMIT, onnxEnsemble, type EnsembleNetwork, type OnnxEnsembleOptions } from './onnx/ensemble.ts';
export { ONNX_OPSET, onnxModel, type OnnxOptions } from './onnx/onnx.ts';
export { graphOfWeights, type NetworkOfFile } from './onnx/weights-graph.ts';
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
