// One scan in one worker thread of prepareDataset.
import { openVolumeStore, prepareInAll, type PrepareResult, type WorkerTask } from './volume-store.ts';

export default function prepareInWorker({
  folder,
  scan,
  preparations,
}: WorkerTask): Promise<PrepareResult[]> {
  return prepareInAll(openVolumeStore(folder), scan, { preparations });
}
