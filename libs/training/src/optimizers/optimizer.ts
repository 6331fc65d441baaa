// What an optimizer is in a recipe: its fields, and the rule that they make.
import type { OptimizerRule } from '@ct-ensemble/engine';
import type { Definition } from '../choice.ts';

export interface OptimizerDefinition<Options = unknown> extends Definition {
  /** How one variable is updated; the frame around it (clipping, accumulation, averages) is `createOptimizer`'s. */
  rule(options: Options): OptimizerRule;
}
