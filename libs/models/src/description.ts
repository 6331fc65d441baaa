// What a file of weights says of the network that it is for, as metadata: all texts, lists as JSON.
import { messageOf, UserError } from '@ct-ensemble/core';
import { z } from 'zod';
import type { Metadata } from './weights/safetensors.ts';

const json = <Schema extends z.ZodType>(schema: Schema) =>
  z
    .string()
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch (error) {
        context.addIssue(messageOf(error));
        return z.NEVER;
      }
    })
    .pipe(schema);

const count = z.int().positive();

const schema = z
  .object({
    architecture: z.string(),
    /** Slices of each view. */
    views: json(z.array(count).max(2)),
    /** Names, in the order of the logits. */
    classes: json(z.array(z.string()).min(1)),
    /** Height and width of a slice, in pixels. */
    size: json(z.tuple([count, count])),
    recipe: z.string(),
  })
  .partial();

export type Described = z.infer<typeof schema>;

/**
 * What the metadata says, but for the fields of `except`, which are not looked at.
 * @throws {UserError} for a field that is not what it should be.
 */
export function describedIn(
  metadata: Metadata,
  { file, except = [] }: { file: string; except?: readonly string[] },
): Described {
  const parsed = schema.safeParse(
    Object.fromEntries(Object.entries(metadata).filter(([key]) => !except.includes(key))),
  );
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new UserError(`metadata, ${issue!.path.join('.')}: ${issue!.message}`, {
    file,
    remedy: 'write the weights again, or give the option that replaces it',
  });
}

/** Every field told. */
type Complete = { [Key in keyof Described]-?: NonNullable<Described[Key]> };

export function describing({ architecture, views, classes, size, recipe }: Complete): Metadata {
  return {
    architecture,
    views: JSON.stringify(views),
    classes: JSON.stringify(classes),
    size: JSON.stringify(size),
    recipe,
  };
}
