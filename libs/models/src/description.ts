// The metadata of a weights file, which describes the network that the weights belong to. All values are texts; lists are JSON.
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
    /** Number of slices of each view. */
    views: json(z.array(count).max(2)),
    /** Names of the classes, in the order of the logits. */
    classes: json(z.array(z.string()).min(1)),
    /** Height and width of a slice, in pixels. */
    size: json(z.tuple([count, count])),
    recipe: z.string(),
  })
  .partial();

/** The description of a network; fields that the metadata lacks are undefined. */
export type Described = z.infer<typeof schema>;

/**
 * Reads the description from a file's metadata. Fields named in `except` are neither read nor checked. `file` is named in errors.
 * @throws {UserError} if a field is malformed.
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

/** A description in which every field is given. */
type Complete = { [Key in keyof Described]-?: NonNullable<Described[Key]> };

/** The metadata that describes a network: the inverse of `describedIn`. */
export function describing({ architecture, views, classes, size, recipe }: Complete): Metadata {
  return {
    architecture,
    views: JSON.stringify(views),
    classes: JSON.stringify(classes),
    size: JSON.stringify(size),
    recipe,
  };
}
