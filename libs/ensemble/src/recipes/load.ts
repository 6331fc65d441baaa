// Loads a recipe: a built-in one by its name or a YAML file by its path, checked field by field.
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { codeOf, MAX_BYTES, messageOf, readRegularText, UserError } from '@ct-ensemble/core';
import { type CST, LineCounter, parseDocument, Parser } from 'yaml';
import { didYouMean } from '../names.ts';
import { expandRecipe } from './grid.ts';
import { lineOf, problemsIn, recipeRefusal, type RecipeOptions, fieldName } from './problems.ts';
import { type Recipe, recipeSchema } from './schema.ts';

/** Works from `src/` and from `dist/` alike. */
const builtIn = new URL('../../recipes/', import.meta.url);

/** Names of the built-in recipes, sorted. */
export async function recipeNames(): Promise<string[]> {
  const files = await readdir(builtIn);
  return files
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => file.slice(0, -'.yaml'.length))
    .sort();
}

/**
 * Loads a built-in recipe by its name, or a file: anything with a `/` or ending in `.yaml` or `.yml`.
 * @throws UserError when there is none (the error names the nearest one), or like {@link parseRecipe}.
 */
export async function loadRecipe(nameOrFile: string, options: RecipeOptions = {}): Promise<Recipe> {
  const isFile = /[/\\]|\.ya?ml$/i.test(nameOrFile);
  const names = isFile ? [] : await recipeNames();
  if (!isFile && !names.includes(nameOrFile)) {
    throw new UserError(`There is no recipe "${nameOrFile}"${didYouMean(nameOrFile, names)}`, {
      remedy: `take ${names.join(', ')} or the path of a YAML file`,
    });
  }
  const path = isFile ? nameOrFile : fileURLToPath(new URL(`${nameOrFile}.yaml`, builtIn));
  let content: string;
  try {
    content = await readRegularText(path, { maxBytes: MAX_BYTES.recipe });
  } catch (error) {
    if (error instanceof UserError) throw error;
    const absent = codeOf(error) === 'ENOENT';
    throw new UserError(absent ? 'there is no such recipe' : `cannot be read (${messageOf(error)})`, {
      file: path,
      remedy: `give the path of a YAML file or the name of a built-in recipe: ${(await recipeNames()).join(', ')}`,
      cause: error,
    });
  }
  return parseRecipe(content, path, options);
}

/** Mappings and lists of a recipe lie within each other 5 levels deep. The composer of YAML calls itself for each level. */
const MAX_DEPTH = 32;

/** Values that aliases (`*name`) stand for, those within them counted too: aliases of aliases grow exponentially. */
const MAX_ALIASES = 100;

/**
 * A recipe from YAML text. `source` names it in errors.
 * @throws UserError that lists the problems with their lines and fields.
 */
export function parseRecipe(content: string, source: string, options: RecipeOptions = {}): Recipe {
  if (depthOf(content) > MAX_DEPTH)
    throw new UserError(`has mappings and lists more than ${MAX_DEPTH} levels deep`, {
      file: source,
      remedy: 'write a recipe as in docs/recipes.md',
    });
  const lines = new LineCounter();
  const document = parseDocument(content, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    throw recipeRefusal(
      source,
      document.errors.map(({ pos, message }) => ({ line: lines.linePos(pos[0]).line, text: message })),
    );
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    throw new UserError(`is not valid YAML (${messageOf(error)})`, {
      file: source,
      remedy: `write it with at most ${MAX_ALIASES} aliases`,
      cause: error,
    });
  }
  const expanded = expandRecipe(value);
  const parsed = recipeSchema.safeParse(expanded.value);
  const problems = problemsIn({ written: value, expanded }, parsed.error?.issues ?? [], options);
  if (parsed.success && problems.length === 0) return parsed.data;
  throw recipeRefusal(
    source,
    problems.map(({ path, text }) => ({
      line: lineOf(document, lines, path),
      text: path.length === 0 ? `the recipe ${text}` : `${fieldName(path)} ${text}`,
    })),
  );
}

/** How deep mappings and lists lie within each other, from the tokens of the text; found without recursion. */
function depthOf(content: string): number {
  let depth = 0;
  const open: { token: CST.Token; level: number }[] = [];
  for (const token of new Parser().parse(content)) open.push({ token, level: 0 });
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { token, level } = next;
    depth = Math.max(depth, level);
    if (token.type === 'document')
      open.push(...(token.value ? [{ token: token.value, level: level + 1 }] : []));
    else if ('items' in token)
      for (const { key, value } of token.items)
        for (const inner of [key, value]) if (inner) open.push({ token: inner, level: level + 1 });
  }
  return depth;
}
