// Test-time augmentation: how it is written on the command line and in files.
import { UserError } from '@ct-ensemble/core';
import type { Probabilities } from '../results/probabilities.ts';

/** A scan's probabilities are the mean over all of its draws of slices and, with flips, over each volume and its mirror image. */
export interface TestTimeAugmentation {
  /** Each volume is predicted as it is and mirrored left to right. */
  flips: boolean;
  /** Number of draws of slices, see `SliceDraw`; 1: only the plain volume. */
  draws: number;
}

const MOST_DRAWS = 8;

/**
 * Reads `flips`, `slices:N` with N from 2 to 8, or both with a comma between them, in any order.
 * @throws {UserError} for any other text.
 */
export function parseAugmentation(text: string): TestTimeAugmentation {
  const found: TestTimeAugmentation = { flips: false, draws: 1 };
  for (const part of text.split(',').map((each) => each.trim())) {
    const draws = /^slices:(\d+)$/.exec(part)?.[1];
    if (draws !== undefined && (Number(draws) < 2 || Number(draws) > MOST_DRAWS))
      throw new UserError(`slices:${draws}: the number of draws must be from 2 to ${MOST_DRAWS}.`);
    if (part !== 'flips' && draws === undefined)
      throw new UserError(
        `"${part}" is no test-time augmentation; there are flips and slices:N, such as slices:4.`,
      );
    if (part === 'flips' ? found.flips : found.draws > 1)
      throw new UserError(`${part.split(':')[0]} is named twice.`);
    if (draws === undefined) found.flips = true;
    else found.draws = Number(draws);
  }
  return found;
}

/** The augmentation as it is written in files, such as `flips,slices:4`. */
export function augmentationName({ flips, draws }: TestTimeAugmentation): string {
  return [...(flips ? ['flips'] : []), ...(draws > 1 ? [`slices:${draws}`] : [])].join(',');
}

/** The name of the augmentation that a file with augmentation was made with. The first such files name none: they were made with flips. */
export const augmentationOf = ({ augmentation = 'flips' }: Pick<Probabilities, 'augmentation'>) =>
  augmentation;
