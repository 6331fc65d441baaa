// Scans in, volumes out: index, preparation, store, batches.
export { readBatches, type Batch } from './batches/batches.ts';
export {
  drawContactSheet,
  tileImage,
  type ContactSheet,
  type SheetSection,
  type Tile,
} from './report/contact-sheet.ts';
export { drawExplanation, type ExplainedSlice, type ExplanationSheet } from './report/explanation-sheet.ts';
export {
  readDatasetIndex,
  type DatasetIndex,
  type DatasetOptions,
  type DatasetReport,
  type Split,
  type SplitCounts,
} from './layouts/dataset-index.ts';
export { COMPETITION_TASKS } from './layouts/cov19-ct-db/spelling.ts';
export { layoutNames } from './layouts/registry.ts';
export type { ScanTable, TableField } from './layouts/layout.ts';
export { makeFolds, makeSplits, type SplitScan, type SplitShares } from './splits/make-splits.ts';
export type { ScanEntry } from './scan-entry.ts';
export { mapConcurrent } from './concurrent.ts';
export { listed, type Finding } from './findings.ts';
export { SPLITS } from './splits/split.ts';
export { withBorder } from './volumes/masking.ts';
export { viewsOf, type Preparation, type PreparationNetworks } from './volumes/preparation-settings.ts';
export { masksOf } from './lungs/lungs.ts';
export type { LungSegmenter, SliceFilter } from './lungs/slice-networks.ts';
export { guardSplits, NEAR_EQUAL_IN_FOLDS } from './splits/split-guard.ts';
export { readLabelledSlices } from './lungs/labelled-slices.ts';
export { readMaskedSlices } from './lungs/lung-pairs.ts';
export { atEdge, holdOut, type HoldOut, type SliceSample, type SliceSamples } from './lungs/slice-samples.ts';
export { claimedVoxels } from './readers/dicom/claimed-voxels.ts';
export { parseValues, type ValuesChoice } from './readers/values.ts';
export { openSlices, readSliceFiles } from './readers/slice-source.ts';
export type { GreyImage } from './scan.ts';
export { prepareVolume } from './volumes/preparation.ts';
export { nearestIndices, type Volume } from './volumes/volume.ts';
export { prepareDataset, SCAN_DEADLINE, type PreparationProgress } from './store/prepare-dataset.ts';
export type { StoreRecord } from './store/store-record.ts';
export { openVolumeStore, type VolumeStore } from './store/volume-store.ts';
export type { StoredScan } from './scan-entry.ts';
export { type FoundScans, findScans } from './layouts/any-scans.ts';
export {
  contentOfScan,
  openPreparer,
  type PreparedInMemory,
  type Preparer,
  prepareInMemory,
} from './store/prepare-in-memory.ts';
export { statisticNames, statisticsOf, type VolumeStatistics } from './volumes/volume-statistics.ts';
export { PREPARATION_VERSION, type PreparationSettings, settingsOf } from './volumes/content-key.ts';
export { readRows } from './tables.ts';
