// The networks of the preparation, opened for as long as it takes.
import type { PreparationNetworks } from '@ct-ensemble/data';
import { type EngineKind, openEngine } from '@ct-ensemble/engine';
import { openLungSegmenter, openSliceFilter } from '@ct-ensemble/training';

/** What finds slices with lung, and the lung in them. */
export interface NetworkChoice {
  /** `area`, the default, or a file of weights that trainer:filter wrote. */
  filter?: string;
  /** `threshold`, the default, or a file of weights that trainer:segmenter wrote. */
  masks?: string;
  /** What computes the networks; default tensorflow. */
  engine?: EngineKind;
}

/**
 * Opens the networks that are asked for, does the work and closes them.
 * @throws {UserError} for files that are no such weights.
 */
export async function withNetworks<Result>(
  { filter = 'area', masks = 'threshold', engine: kind = 'tensorflow' }: NetworkChoice,
  work: (networks: PreparationNetworks) => Promise<Result>,
): Promise<Result> {
  if (filter === 'area' && masks === 'threshold') return work({});
  const engine = await openEngine({ engine: kind });
  const opened: { dispose(): void }[] = [];
  const keep = <T extends { dispose(): void; id: string }>(network: T): T => {
    opened.push(network);
    return kind === 'tensorflow' ? network : { ...network, id: `${network.id}-${kind}` }; // it may round otherwise
  };
  try {
    return await work({
      ...(filter !== 'area' && { filter: keep(await openSliceFilter(filter)) }),
      ...(masks !== 'threshold' && { segmenter: keep(await openLungSegmenter(masks)) }),
    });
  } finally {
    for (const network of opened) network.dispose();
    engine.close();
  }
}
