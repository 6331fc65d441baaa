// A recipe says everything a run is made of: volumes, members, training, submissions. YAML, checked field by field;
// every problem is told with its line and, where a name is mistyped, with the one that was meant.
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { codeOf, messageOf, UserError } from '@ct-ensemble/core';
import { isMap, isNode, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml';
import { z } from 'zod';
import { didYouMean, isSafeName, safeNameRule } from '../names.ts';

const positive = 'must be a whole number, 1 or more';
const text = z.string('must be text').min(1, 'must not be empty');
const safeName = z.string('must be text').refine(isSafeName, `must be a safe folder name: ${safeNameRule}`);
const count = z.int(positive).min(1, positive);
const whole = z.int('must be a whole number, 0 or more').min(0, 'must be a whole number, 0 or more');
const above0 = z.number('must be a number above 0').positive('must be a number above 0');
const from0 = z.number('must be a number, 0 or more').min(0, 'must be a number, 0 or more');
const decay = z.number('must be a number in [0, 1)').min(0, 'must be in [0, 1)').lt(1, 'must be in [0, 1)');
const probability = z
  .number('must be a probability, 0 to 1')
  .min(0, 'must be a probability, 0 to 1')
  .max(1, 'must be a probability, 0 to 1');
const seed = z
  .int('must be a whole number, 0 to 4294967295')
  .min(0, 'must be a whole number, 0 to 4294967295')
  .max(0xffffffff, 'must be a whole number, 0 to 4294967295');

const mapping = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) => (issue.code === 'invalid_type' ? 'must be a mapping' : undefined),
  });
const sequence = <Item extends z.ZodType>(item: Item) => z.array(item, 'must be a list');

const gainSchema = mapping({
  factor: above0.describe('Grey values are multiplied by this.'),
  probability: probability.describe('Probability that they are.'),
});

const factorSchema = mapping({
  from: above0.describe('Smallest factor.'),
  to: above0.describe('Greatest factor.'),
  probability: probability.describe('Probability that it is applied.'),
}).refine(({ from, to }) => from <= to, { path: ['to'], error: 'must not be below from' });

const augmentationSchema = mapping({
  rotate: from0.default(0).describe('Rotation by an angle drawn from ±this, in degrees; 0: none.'),
  flipHorizontal: probability.default(0).describe('Probability of a horizontal flip.'),
  flipVertical: sequence(probability)
    .default([])
    .describe('Probability of each vertical flip, drawn in turn.'),
  blur: probability.default(0).describe('Probability of a 3×3 blur.'),
  gain: sequence(gainSchema).default([]).describe('Gains, drawn in turn, each by itself.'),
  interpolation: z
    .enum(['linear', 'nearest'], 'must be linear or nearest')
    .optional()
    .describe('Of a rotation. linear, the default: mirrored at the border; nearest: black beyond it.'),
  brightness: factorSchema.optional().describe('Grey values times a factor.'),
  contrast: factorSchema.optional().describe("Distances from the slice's mean times a factor."),
  perSlice: z
    .boolean('must be true or false')
    .optional()
    .describe('A draw for every slice; default: one for all slices of a scan.'),
}).describe('`none` and every field left out mean: do not.');

const maskSchema = mapping({
  dilate: z
    .int('must be an odd number')
    .min(1, 'must be an odd number')
    .refine((edge) => edge % 2 === 1, 'must be an odd number')
    .default(5)
    .describe('The mask grows by a square of so many of its pixels a side; 1: not at all.'),
  edge: z
    .enum(['dilated', 'overflow'], 'must be dilated or overflow')
    .default('dilated')
    .describe("overflow: what the authors' code comes to, which cuts a ring out of the lung's border."),
});

const memberSchema = mapping({
  name: safeName.describe('Names the folder of the member.'),
  architecture: text.describe('Name in the registry of models.'),
  seed: seed.describe('Of its initial weights, order of samples, augmentation and dropout.'),
  pretrained: z
    .boolean('must be true or false')
    .default(false)
    .describe('Starts from the weights published for ImageNet; nx run weights:fetch brings them.'),
  mask: maskSchema.optional().describe("In the place of the volume's mask, for this member."),
});

const rateSchema = mapping({
  from: whole.describe('First epoch of this rate; epochs count from 0.'),
  rate: above0.describe('Learning rate.'),
});

const submissionSchema = mapping({
  name: safeName.describe('Names the folder of the submission.'),
  members: sequence(text)
    .min(1, 'needs at least one member')
    .describe('Names of members; the mean of their softmax outputs is submitted.'),
});

/** The fields of a recipe. {@link parseRecipe} also checks what spans several fields. */
export const recipeSchema = mapping({
  name: safeName.describe('Name of the recipe and of its runs.'),
  task: z
    .enum(['detection', 'severity'], 'must be detection or severity')
    .describe('detection: Covid or not; severity: mild, moderate, severe, critical.'),
  description: text.describe('What the recipe is for, one or two sentences.'),
  volume: mapping({
    depth: z
      .union([count, sequence(count).length(2, 'must be one number, or two for two views')], {
        error: 'must be a whole number, 1 or more, or two of them for two views',
      })
      .describe('Slices; [32, 16]: two views, of 32 and of 16 slices.'),
    height: count.describe('Pixels.'),
    width: count.describe('Pixels.'),
    slices: z
      .enum(['all', 'lung'], 'must be all or lung')
      .default('all')
      .describe(
        'lung: slices without lung are left out, by threshold and area, or by the network given with --filter.',
      ),
    sampling: z
      .enum(['nearest', 'lung-area'], 'must be nearest or lung-area')
      .default('nearest')
      .describe(
        'nearest: evenly over the scan; lung-area: from the half with the most lung, by its density.',
      ),
    secondView: z
      .enum(['shared', 'own'], 'must be shared or own')
      .default('shared')
      .describe('shared: the second view samples the same slices as the first; own: other slices.'),
    mask: z
      .preprocess((value) => (value === 'none' ? null : value), maskSchema.nullable())
      .default(null)
      .describe('none, or: slices keep nothing but the lung.'),
    equalize: z
      .boolean('must be true or false')
      .default(false)
      .describe('The histogram of each slice is equalised, after the mask.'),
  }).describe('What a scan is resampled to.'),
  members: sequence(memberSchema)
    .min(1, 'needs at least one member')
    .describe('The networks that are trained.'),
  training: mapping({
    epochs: count.describe('Passes over the training scans.'),
    batchSize: count.describe('Scans per step.'),
    loss: mapping({
      name: z.enum(['focal'], 'must be focal'),
      gamma: from0.describe('Focusing exponent γ; 0 is plain cross entropy.'),
    }),
    optimizer: mapping({
      name: z.enum(['adam'], 'must be adam'),
      beta1: decay.default(0.9).describe('Decay of the mean of the gradient.'),
      beta2: decay.default(0.999).describe('Decay of the mean of its square.'),
      epsilon: above0.default(1e-8).describe('Added to the denominator.'),
    }).describe('Without weight decay.'),
    learningRate: sequence(rateSchema)
      .min(1, 'needs at least one rate')
      .describe('Step schedule: the first rate from epoch 0, each later one from a later epoch.'),
    augmentation: z.preprocess((value) => (value === 'none' ? {} : value), augmentationSchema),
  }),
  submissions: sequence(submissionSchema)
    .min(1, 'needs at least one submission')
    .max(5, 'holds more than five submissions, the competition takes five at most')
    .describe('What is submitted: single members and ensembles, up to five.'),
});

export type Recipe = z.infer<typeof recipeSchema>;

/** What its members' volumes are prepared to, and whose they are: one for most recipes. */
export function preparationsOf({ volume, members }: Recipe) {
  const preparations = new Map<string, { preparation: Recipe['volume']; members: string[] }>();
  for (const { name, mask } of members) {
    const preparation = { ...volume, mask: mask ?? volume.mask };
    const key = JSON.stringify(preparation);
    const same = preparations.get(key) ?? { preparation, members: [] };
    same.members.push(name);
    preparations.set(key, same);
  }
  return [...preparations.values()];
}

export interface RecipeOptions {
  /** Architectures that exist. Without it any name is accepted. */
  architectures?: readonly string[];
  /** Those of them that have published weights. Without it any member may start from some. */
  published?: readonly string[];
}

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
 * @throws UserError when there is none (telling the nearest name), or like {@link parseRecipe}.
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
    content = await readFile(path, 'utf8');
  } catch (error) {
    const absent = codeOf(error) === 'ENOENT';
    throw new UserError(absent ? 'there is no such recipe' : `cannot be read (${messageOf(error)})`, {
      file: path,
      remedy: `give the path of a YAML file or the name of a built-in recipe: ${(await recipeNames()).join(', ')}`,
      cause: error,
    });
  }
  return parseRecipe(content, path, options);
}

/**
 * A recipe from YAML text. `source` names it in errors.
 * @throws UserError that lists every problem with its line and field.
 */
export function parseRecipe(content: string, source: string, options: RecipeOptions = {}): Recipe {
  const lines = new LineCounter();
  const document = parseDocument(content, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    throw refusal(
      source,
      document.errors.map(({ pos, message }) => ({ line: lines.linePos(pos[0]).line, text: message })),
    );
  }
  let value: unknown;
  try {
    value = document.toJS();
  } catch (error) {
    throw new UserError(`is not valid YAML (${messageOf(error)})`, { file: source, cause: error });
  }
  const parsed = recipeSchema.safeParse(value);
  const problems = [
    ...(parsed.error?.issues ?? []).flatMap((issue) => describe(issue, value)),
    ...crossProblems(value, options),
  ];
  if (parsed.success && problems.length === 0) return parsed.data;
  throw refusal(
    source,
    problems.map(({ path, text }) => ({
      line: lines.linePos(offsetOf(document, path)).line,
      text: path.length === 0 ? `the recipe ${text}` : `${fieldName(path)} ${text}`,
    })),
  );
}

type Path = readonly PropertyKey[];
interface Problem {
  path: Path;
  text: string;
}

function refusal(source: string, problems: { line: number; text: string }[]): UserError {
  const told = problems.sort((a, b) => a.line - b.line).map(({ line, text }) => `line ${line}: ${text}`);
  return told.length === 1
    ? new UserError(told[0]!, { file: source })
    : new UserError(`${told.length} problems\n  ${told.join('\n  ')}`, { file: source });
}

/** What spans several fields. A part that is broken in itself is told by the schema and passed over here. */
function crossProblems(value: unknown, { architectures, published }: RecipeOptions): Problem[] {
  const { members, submissions, training } = recipeSchema.shape;
  const read = <Schema extends z.ZodType>(schema: Schema, path: Path) =>
    schema.safeParse(at(value, path)).data;
  const memberList = read(members, ['members']);
  const submissionList = read(submissions, ['submissions']) ?? [];
  const rates = read(training.shape.learningRate, ['training', 'learningRate']) ?? [];
  const memberNames = memberList?.map((member) => member.name);
  const problems: Problem[] = [
    ...doubled(memberNames ?? []).map((i) => ({ path: ['members', i, 'name'], text: 'names two members' })),
    ...doubled(submissionList.map(({ name }) => name)).map((i) => ({
      path: ['submissions', i, 'name'],
      text: 'names two submissions',
    })),
  ];
  if (architectures !== undefined) {
    memberList?.forEach(({ architecture }, i) => {
      if (architectures.includes(architecture)) return;
      const text = `"${architecture}" is not one of ${architectures.join(', ')}`;
      problems.push({
        path: ['members', i, 'architecture'],
        text: `${text}${didYouMean(architecture, architectures)}`,
      });
    });
  }
  memberList?.forEach(({ architecture, pretrained }, i) => {
    if (!pretrained || published === undefined || published.includes(architecture)) return;
    if (architectures !== undefined && !architectures.includes(architecture)) return;
    const text = `cannot be true: no weights are published for ${architecture}, but for ${published.join(', ')}`;
    problems.push({ path: ['members', i, 'pretrained'], text });
  });
  const volumeMask = read(recipeSchema.shape.volume, ['volume'])?.mask;
  memberList?.forEach(({ mask }, i) => {
    if (mask === undefined || volumeMask !== null) return;
    problems.push({ path: ['members', i, 'mask'], text: "is given, but the volume's is none" });
  });
  submissionList.forEach(({ members }, i) => {
    const twice = doubled(members);
    members.forEach((name, j) => {
      const path = ['submissions', i, 'members', j];
      if (twice.includes(j)) problems.push({ path, text: `"${name}" is named twice` });
      if (memberNames !== undefined && !memberNames.includes(name)) {
        problems.push({ path, text: `"${name}" is no member${didYouMean(name, memberNames)}` });
      }
    });
  });
  rates.forEach(({ from }, i) => {
    const path = ['training', 'learningRate', i, 'from'];
    const before = rates[i - 1]?.from;
    if (before === undefined && from !== 0)
      problems.push({ path, text: `must be 0 for the first rate, not ${from}` });
    if (before !== undefined && from <= before) {
      problems.push({
        path,
        text: `must be greater than ${before}, the epoch of the rate before, not ${from}`,
      });
    }
  });
  return problems;
}

/** Positions of the names that came before; upper and lower case are one, as they are to some file systems. */
function doubled(names: readonly string[]): number[] {
  const plain = names.map((name) => name.toLowerCase());
  return plain.flatMap((name, i) => (plain.indexOf(name) < i ? [i] : []));
}

/** What zod found, in our words: several problems when several fields of one mapping are unknown. */
function describe(issue: z.core.$ZodIssue, root: unknown): Problem[] {
  const { path } = issue;
  if (issue.code === 'unrecognized_keys') {
    const known = fieldsOf(path);
    return issue.keys.map((key) => ({
      path: [...path, key],
      text: `is not a field of a recipe${didYouMean(key, known) || ` (fields here: ${known.join(', ')})`}`,
    }));
  }
  const value = at(root, path);
  if (value === undefined) return [{ path, text: `is missing: it ${issue.message}` }];
  const options = issue.code === 'invalid_value' ? issue.values.map(String) : [];
  const shown = Array.isArray(value) && issue.code !== 'invalid_type' ? '' : `, not ${show(value)}`;
  return [{ path, text: `${issue.message}${shown}${didYouMean(String(value), options)}` }];
}

function show(value: unknown): string {
  const json = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return json.length > 60 ? `${json.slice(0, 57)}…` : json;
}

/** The fields that the mapping at a path of the schema has. */
function fieldsOf(path: Path): string[] {
  let schema: unknown = recipeSchema;
  for (const step of path) {
    schema =
      schema instanceof z.ZodArray ? schema.element : (schema as typeof recipeSchema).shape[step as 'name'];
    while (!(schema instanceof z.ZodArray) && !(schema instanceof z.ZodObject))
      schema =
        schema instanceof z.ZodPreprocess ? schema.out : (schema as z.ZodDefault | z.ZodNullable).unwrap();
  }
  return Object.keys((schema as typeof recipeSchema).shape);
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (parent, step) =>
      typeof parent === 'object' && parent !== null
        ? (parent as Record<PropertyKey, unknown>)[step]
        : undefined,
    value,
  );
}

/** Where the field stands in the text; for one that is missing, the nearest field around it. */
function offsetOf({ contents }: Document, path: Path): number {
  let node: unknown = contents;
  let offset = contents?.range?.[0] ?? 0;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === step);
      if (pair === undefined) break;
      if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[step as number];
      if (isNode(node)) offset = node.range?.[0] ?? offset;
    } else break;
  }
  return offset;
}

/** `training.learningRate[1].rate` */
function fieldName(path: Path): string {
  return path
    .map((step, i) => (typeof step === 'number' ? `[${step}]` : `${i === 0 ? '' : '.'}${String(step)}`))
    .join('');
}
