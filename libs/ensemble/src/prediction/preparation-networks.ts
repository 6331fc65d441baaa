// The networks of a packed preparation, from the entries of the ensemble file.
import type { PreparationNetworks } from '@ct-ensemble/data';
import { openLungSegmenter, openSliceFilter } from '@ct-ensemble/training';
import type { Manifest } from '../ensemble-file/manifest.ts';

/** Opens them on the engine that is open. @throws {UserError} if an entry is no such network. */
export async function preparationNetworks(
  { filter, segmenter }: Manifest['preparation'],
  { file, bytesOf }: { file: string; bytesOf(entry: string): Uint8Array },
): Promise<PreparationNetworks> {
  return {
    ...(filter && { filter: await openSliceFilter({ name: file, bytes: bytesOf(filter.weights) }) }),
    ...(segmenter && {
      segmenter: await openLungSegmenter({ name: file, bytes: bytesOf(segmenter.weights) }),
    }),
  };
}
