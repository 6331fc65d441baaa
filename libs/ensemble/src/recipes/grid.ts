// The short forms of a recipe, written out: a grid of architectures, seeds and folds becomes a list of members, and names that
// stand for several members become these members.
import { fields } from '@ct-ensemble/core';
import { z } from 'zod';
import { isSafeName, safeNameRule } from '../names.ts';
import { foldCount, maskSchema, RECIPE_BOUNDS } from './schema.ts';

const { flag, seed, sequence, text } = fields;

/** One network of a grid; written as its name alone, it has no settings of its own. */
const gridEntry = z.preprocess(
  (value) => (typeof value === 'string' ? { architecture: value } : value),
  z.strictObject(
    {
      architecture: text.describe('Name in the registry of models.'),
      name: text
        .optional()
        .describe("Beginning of the names of its members. Default: the architecture's name."),
      pretrained: flag.optional().describe('As of a member.'),
      mask: maskSchema.optional().describe('As of a member.'),
    },
    {
      error: (issue) =>
        issue.code === 'invalid_type'
          ? 'must be the name of an architecture, or a mapping that names one in its field architecture'
          : undefined,
    },
  ),
);

/** `members` as a grid. `parseRecipe` writes it out as a list of members. */
export const gridSchema = fields.mapping({
  architectures: sequence(gridEntry).min(1, 'needs at least one architecture').describe('The networks.'),
  seeds: sequence(seed)
    .min(1, 'needs at least one seed')
    .describe('Every network is trained with each of them.'),
  folds: foldCount
    .optional()
    .describe(
      'Every network is trained once for each fold, with each seed. Left out: once, validated on the split val.',
    ),
});

/** What the problems of a grid are described by: the grid in the place where the recipe has it. */
export const recipeWithGrid = z.looseObject({ members: gridSchema });

type Grid = z.infer<typeof gridSchema>;
type Path = readonly PropertyKey[];

/** A recipe, written out, that is not checked yet. */
export interface ExpandedRecipe {
  /** Its members are a list and its submissions name members, if they could be written out. */
  value: unknown;
  /** What is wrong with the short forms. */
  issues: z.core.$ZodIssue[];
  problems: { path: Path; text: string }[];
  /** Names that stand for several members in `submissions`. */
  aliases: string[];
  isGrid: boolean;
  /** The field that the user wrote, from a field of `value`; undefined for one that could not be written out. */
  sourceOf: (path: Path) => Path | undefined;
}

/** The names of the members of a grid begin with this. */
const baseOf = ({ name, architecture }: Grid['architectures'][number]) => name ?? architecture;

/** The name of the members of one network and seed, which differ in their folds only: the name of a group. */
const groupName = (base: string, seed: number) => `${base}-seed${seed}`;

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Writes out the short forms of a recipe. Whatever is no short form stays as it is, for the schema to check. */
export function expandRecipe(recipe: unknown): ExpandedRecipe {
  const plain: ExpandedRecipe = {
    value: recipe,
    issues: [],
    problems: [],
    aliases: [],
    isGrid: false,
    sourceOf: (path) => path,
  };
  if (!isMapping(recipe)) return plain;
  if (!isMapping(recipe['members'])) {
    const members = Array.isArray(recipe['members']) ? recipe['members'] : [];
    const names = members.flatMap((member: unknown) =>
      isMapping(member) && typeof member['name'] === 'string' ? [member['name']] : [],
    );
    return withSubmissions({ ...plain, value: recipe }, names, new Map());
  }
  const parsed = gridSchema.safeParse(recipe['members']);
  const issues = (parsed.error?.issues ?? []).map((issue) => ({
    ...issue,
    path: ['members', ...issue.path],
  }));
  const problems = [
    ...(recipe['folds'] === undefined
      ? []
      : [{ path: ['folds'], text: 'belongs to the grid: write it as members.folds' }]),
    ...(parsed.success ? gridProblems(parsed.data) : []),
  ];
  if (!parsed.success || problems.length > 0) {
    const isUnknown = ([top, , field]: Path) =>
      top === 'members' || top === 'folds' || (top === 'submissions' && field === 'members');
    const { submissions } = recipe;
    return {
      ...plain,
      value: { ...recipe, submissions: submissions === undefined ? [] : submissions },
      issues,
      problems,
      isGrid: true,
      sourceOf: (path) =>
        isUnknown(path) || (submissions === undefined && path[0] === 'submissions') ? undefined : path,
    };
  }
  return expanded(recipe, parsed.data);
}

function expanded(recipe: Record<string, unknown>, { architectures, seeds, folds }: Grid): ExpandedRecipe {
  const aliases = new Map<string, string[]>();
  /** Position in `architectures` of each member. */
  const entries: number[] = [];
  const members = architectures.flatMap((entry, at) =>
    seeds.flatMap((seed) => {
      const { architecture, pretrained, mask } = entry;
      const group = groupName(baseOf(entry), seed);
      return Array.from({ length: folds ?? 1 }, (_, f) => {
        const name = folds === undefined ? group : `${group}-fold${f + 1}`;
        entries.push(at);
        for (const alias of [baseOf(entry), group])
          if (alias !== name) aliases.set(alias, [...(aliases.get(alias) ?? []), name]);
        return {
          name,
          architecture,
          seed,
          ...(pretrained !== undefined && { pretrained }),
          ...(mask !== undefined && { mask }),
          ...(folds !== undefined && { fold: f + 1 }),
        };
      });
    }),
  );
  const written = (recipe['members'] as { architectures: unknown[] }).architectures;
  const sourceOf = (path: Path): Path => {
    const [top, i, field, ...rest] = path;
    if (top === 'folds') return ['members', 'folds', ...path.slice(1)];
    if (top !== 'members' || typeof i !== 'number') return path;
    const entry = ['members', 'architectures', entries[i]!];
    const isField =
      isMapping(written[entries[i]!]) && ['architecture', 'pretrained', 'mask'].includes(String(field));
    return isField ? [...entry, field!, ...rest] : entry;
  };
  const value = { ...recipe, ...(folds !== undefined && { folds }), members };
  return withSubmissions(
    { value, issues: [], problems: [], aliases: [...aliases.keys()], isGrid: true, sourceOf },
    members.map(({ name }) => name),
    aliases,
  );
}

/** Rules of a grid without which no members can be written out. */
function gridProblems({ architectures, seeds, folds = 1 }: Grid): ExpandedRecipe['problems'] {
  const at = (field: string, i: number) => ['members', field, i];
  const bases = architectures.map((entry) => baseOf(entry).toLowerCase());
  const longest = groupName('', Math.max(...seeds)).length + `-fold${folds}`.length;
  const count = architectures.length * seeds.length * folds;
  return [
    ...architectures.flatMap((entry, i) => {
      const base = baseOf(entry);
      const first = bases.indexOf(base.toLowerCase());
      if (first < i) {
        const text = `has members of the same names as architectures[${first}]: give it a name of its own, such as { architecture: ${entry.architecture}, name: ${entry.architecture}-b }`;
        return [{ path: at('architectures', i), text }];
      }
      if (isSafeName(base + 'x'.repeat(longest))) return [];
      const text = `has members named ${base}-seed${seeds[0]}…, no safe folder names (${safeNameRule}): give it another name, of at most ${64 - longest} of these characters`;
      return [{ path: at('architectures', i), text }];
    }),
    ...seeds.flatMap((seed, i) =>
      seeds.indexOf(seed) < i ? [{ path: at('seeds', i), text: `${seed} is there twice: remove one` }] : [],
    ),
    ...(count > RECIPE_BOUNDS.members
      ? [
          {
            path: ['members'],
            text:
              `has ${architectures.length} × ${seeds.length} × ${folds} = ${count} members (architectures × seeds × folds), ` +
              `more than ${RECIPE_BOUNDS.members}: take fewer of them`,
          },
        ]
      : []),
  ];
}

/** The recipe with members' names in the place of `all` and of the names of groups; without submissions, with one of all members. */
function withSubmissions(
  recipe: ExpandedRecipe,
  names: readonly string[],
  aliases: ReadonlyMap<string, readonly string[]>,
): ExpandedRecipe {
  const value = recipe.value as Record<string, unknown>;
  const { submissions } = value;
  if (submissions === undefined && names.length > 0)
    return { ...recipe, value: { ...value, submissions: [{ name: 'ensemble', members: names }] } };
  if (!Array.isArray(submissions)) return recipe;
  /** For each submission, the position of each of its members in what the user wrote; null: it is written out from `all`. */
  const positions: (number[] | null | undefined)[] = [];
  const written = submissions.map((submission: unknown, i) => {
    if (!isMapping(submission)) return submission;
    const { members } = submission;
    if (members === 'all' && names.length > 0) {
      positions[i] = null;
      return { ...submission, members: names };
    }
    if (!Array.isArray(members)) return submission;
    const all = members.map((member: unknown) =>
      typeof member === 'string' ? (aliases.get(member) ?? [member]) : [member],
    );
    positions[i] = all.flatMap((some, j) => some.map(() => j));
    return { ...submission, members: all.flat() };
  });
  return {
    ...recipe,
    value: { ...value, submissions: written },
    sourceOf(path) {
      const [top, i, field, j, ...rest] = path;
      const own = top === 'submissions' && field === 'members' ? positions[i as number] : undefined;
      if (own === undefined || typeof j !== 'number') return recipe.sourceOf(path);
      return own === null ? [top!, i!, field!] : [top!, i!, field!, own[j]!, ...rest];
    },
  };
}
