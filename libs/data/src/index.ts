// Scans in, volumes out: index, preparation, store, batches.
export { readBatches, type Batch } from './batches.ts';
export {
  drawContactSheet,
  tileImage,
  type ContactSheet,
  type SheetSection,
  type Tile,
} from './contact-sheet.ts';
export {
  CLASSES,
  readDatasetIndex,
  type DatasetIndex,
  type DatasetOptions,
  type DatasetReport,
  type Split,
  type SplitCounts,
  type Task,
} from './dataset-index.ts';
export type { ScanEntry } from './scan-entry.ts';
export type { Finding } from './findings.ts';
export { withBorder } from './masking.ts';
export { masksOf, viewsOf, type Preparation, type PreparationNetworks } from './preparation.ts';
export type { LungSegmenter, SliceFilter } from './slice-networks.ts';
export { guardSplits } from './split-guard.ts';
export { readLabelledSlices } from './labelled-slices.ts';
export { readMaskedSlices } from './lung-pairs.ts';
export { atEdge, holdOut, type HoldOut, type SliceSample, type SliceSamples } from './slice-samples.ts';
export { openSlices, readSliceFiles } from './slice-source.ts';
export type { GreyImage } from './scan.ts';
export { nearestIndices, type Volume } from './volume.ts';
export {
  openVolumeStore,
  prepareDataset,
  type PreparationProgress,
  type StoreRecord,
  type VolumeStore,
} from './volume-store.ts';
export type { StoredScan } from './scan-entry.ts';
