// The vocabulary of fields that recipes are made of: zod types whose messages say in words what a value must be.
import { z } from 'zod';

const positive = 'must be a whole number, 1 or more';
const nonNegative = 'must be a whole number, 0 or more';
const seedRange = 'must be a whole number, 0 to 4294967295';
const zeroToOne = 'must be a probability, 0 to 1';

/** Text that is not empty. */
export const text = z.string('must be text').min(1, 'must not be empty');
/** 1, 2, 3, … */
export const count = z.int(positive).min(1, positive);
/** 1, 2, …, max */
export const countUpTo = (max: number) => count.max(max, `must be at most ${max}`);
/** 0, 1, 2, … */
export const whole = z.int(nonNegative).min(0, nonNegative);
/** A number greater than 0. */
export const above0 = z.number('must be a number above 0').positive('must be a number above 0');
/** A number, 0 or more. */
export const from0 = z.number('must be a number, 0 or more').min(0, 'must be a number, 0 or more');
/** A factor of an exponential moving average, 0 or more and below 1. */
export const decay = z
  .number('must be a number in [0, 1)')
  .min(0, 'must be in [0, 1)')
  .lt(1, 'must be in [0, 1)');
/** 0 … 1 */
export const probability = z.number(zeroToOne).min(0, zeroToOne).max(1, zeroToOne);
/** A 32-bit seed of the random number generator. */
export const seed = z.int(seedRange).min(0, seedRange).max(0xffffffff, seedRange);
/** true or false */
export const flag = z.boolean('must be true or false');

/** A mapping with these fields and no others. */
export const mapping = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) => (issue.code === 'invalid_type' ? 'must be a mapping' : undefined),
  });

/** A list of such items. */
export const sequence = <Item extends z.ZodType>(item: Item) => z.array(item, 'must be a list');
