// The losses that recipes can name.
import type { Scalar } from '@tensorflow/tfjs';
import type { z } from 'zod';
import { choiceOf, definitionOf } from '../choice.ts';
import { crossEntropy } from './cross-entropy.ts';
import { focal } from './focal.ts';
import type { LossBatch, LossDefinition } from './loss.ts';

const losses = [focal, crossEntropy] as const;

export const lossSchema = choiceOf(losses);
export type LossOptions = z.infer<typeof lossSchema>;

/** The loss of a batch under the options of a recipe; see LossDefinition. */
export function computeLoss(options: LossOptions, batch: LossBatch): Scalar {
  const definition: LossDefinition = definitionOf<LossDefinition>(losses, options.name);
  return definition.compute(batch, options);
}
