// One scan in one worker thread of prepareDataset.
import { openVolumeStore, type PrepareResult, type WorkerTask } from './volume-store.ts';

export default function prepareInWorker({ folder, scan, preparation }: WorkerTask): Promise<PrepareResult> {
  return openVolumeStore(folder).prepare(scan, { preparation });
}
