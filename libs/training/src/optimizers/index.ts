// The optimizers that recipes can name.
import type { OptimizerRule } from '@ct-ensemble/engine';
import type { z } from 'zod';
import { choiceOf, definitionOf } from '../choice.ts';
import { adam } from './adam.ts';
import { adamw } from './adamw.ts';
import type { OptimizerDefinition } from './optimizer.ts';
import { sgd } from './sgd.ts';

const optimizers = [adam, adamw, sgd] as const;

export const optimizerSchema = choiceOf(optimizers);
export type OptimizerChoice = z.infer<typeof optimizerSchema>;

/** The rule that the options of a recipe name. */
export function ruleOf(options: OptimizerChoice): OptimizerRule {
  return definitionOf<OptimizerDefinition>(optimizers, options.name).rule(options);
}
