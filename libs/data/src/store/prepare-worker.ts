// Entry point of the worker threads of `prepareDataset`: prepares one scan per task.
import { prepareScan, type WorkerTask } from './prepare-scan.ts';
import { openVolumeStore, type PrepareResult } from './volume-store.ts';

export default function prepareInWorker({
  folder,
  scan,
  preparations,
}: WorkerTask): Promise<PrepareResult[]> {
  return prepareScan(openVolumeStore(folder), scan, { preparations });
}
