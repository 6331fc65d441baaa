// Registries: ordered lists of named definitions. A recipe chooses one of them by its name.
import { z } from 'zod';

/** One entry of a registry: its name in recipes, and the schema of its fields, which include the name. */
export interface Definition<Schema extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  readonly schema: Schema;
}

type SchemasOf<Definitions extends readonly Definition[]> = {
  [Index in keyof Definitions]: Definitions[Index]['schema'];
};

/**
 * The schema of a mapping whose field `key` names an entry of the registry, and whose other fields are that entry's.
 *
 * @param key the field that holds the name; default `name`
 */
export function choiceOf<const Definitions extends readonly Definition[]>(
  definitions: Definitions,
  key: string = 'name',
): z.ZodDiscriminatedUnion<
  SchemasOf<Definitions> extends infer S extends readonly z.ZodObject[] ? S : never
> {
  const names = definitions.map(({ name }) => name).join(', ');
  const schemas = definitions.map(({ schema }) => schema) as unknown as never;
  return z.discriminatedUnion(key, schemas, {
    error: (issue) => (issue.code === 'invalid_union' ? `must be one of ${names}` : 'must be a mapping'),
  });
}

/** The entry with this name. Recipes were already checked against the registry, so a missing name is a programming error. */
export function definitionOf<D extends Definition>(definitions: readonly D[], name: string): D {
  const found = definitions.find((definition) => definition.name === name);
  if (found === undefined) throw new Error(`${name} is not in the registry`);
  return found;
}
