// The problems of a recipe, in words: those that the schema finds and those that involve several fields.
import { UserError } from '@ct-ensemble/core';
import { isMap, isNode, isScalar, isSeq, type Document, type LineCounter } from 'yaml';
import { z } from 'zod';
import { didYouMean } from '../names.ts';
import { OUT_OF_FOLD } from '../run-folder.ts';
import { type ExpandedRecipe, recipeWithGrid } from './grid.ts';
import { classesOf, isChosen, RECIPE_BOUNDS, recipeSchema, voxelsOf } from './schema.ts';

export interface RecipeOptions {
  /** Architectures that exist. Without it any name is accepted. */
  architectures?: readonly string[];
  /** Those of them that have published weights. Without it any member may start from some. */
  published?: readonly string[];
  /** Smallest height and width in pixels that an architecture takes, by its name. Without it any size is accepted. */
  minimumEdges?: Readonly<Record<string, number>>;
}

/** Names and positions that lead to a field from the top of the recipe. */
export type Path = readonly PropertyKey[];
/** One problem: the field it is about and what is wrong with it. */
export interface Problem {
  path: Path;
  text: string;
}

/** In one error. */
const MOST_LISTED = 20;

/** The error that lists the problems, each with its line, at most `MOST_LISTED` of them. */
export function recipeRefusal(source: string, problems: { line: number; text: string }[]): UserError {
  const lines = problems.sort((a, b) => a.line - b.line).map(({ line, text }) => `line ${line}: ${text}`);
  const listed = lines.slice(0, MOST_LISTED);
  if (lines.length > MOST_LISTED) listed.push(`and ${lines.length - MOST_LISTED} more`);
  return lines.length === 1
    ? new UserError(lines[0]!, { file: source })
    : new UserError(`${lines.length} problems\n  ${listed.join('\n  ')}`, { file: source });
}

/** A value and the schema that describes it. */
interface Root {
  value: unknown;
  schema: unknown;
}

/**
 * All problems of a recipe, with the paths of the fields as they are written: `issues` are those that the schema found in the
 * expanded recipe.
 */
export function problemsIn(
  { written, expanded }: { written: unknown; expanded: ExpandedRecipe },
  issues: readonly z.core.$ZodIssue[],
  options: RecipeOptions,
): Problem[] {
  const { value, sourceOf } = expanded;
  const root = { value, schema: recipeSchema };
  const grid = { value: written, schema: recipeWithGrid };
  const found = [...issues.flatMap((issue) => describe(issue, root)), ...crossProblems(expanded, options)];
  const ofFields = found.flatMap(({ path, text }) => {
    const source = sourceOf(path);
    return source === undefined ? [] : [{ path: source, text }];
  });
  const problems = [
    ...expanded.issues.flatMap((issue) => describe(issue, grid)),
    ...expanded.problems,
    ...ofFields,
  ];
  // Every member of an entry of a grid has the same problem.
  return [
    ...new Map(problems.map((each) => [JSON.stringify([fieldName(each.path), each.text]), each])).values(),
  ];
}

/** What the competition takes. */
const MOST_SUBMISSIONS = 5;

/** Rules that involve several fields. A field that breaks the schema is reported by the schema and skipped here. */
function crossProblems({ value, aliases, isGrid }: ExpandedRecipe, options: RecipeOptions): Problem[] {
  const { architectures, published, minimumEdges = {} } = options;
  const { classes, members, split, submissions, training } = recipeSchema.shape;
  const read = <Schema extends z.ZodType>(schema: Schema, path: Path) =>
    schema.safeParse(at(value, path)).data;
  const memberList = read(members, ['members']);
  const submissionList = read(submissions, ['submissions']) ?? [];
  const memberNames = memberList?.map((member) => member.name);
  const problems: Problem[] = [
    ...doubled(memberNames ?? []).map((i) => ({ path: ['members', i, 'name'], text: 'names two members' })),
    ...doubled(submissionList.map(({ name }) => name)).map((i) => ({
      path: ['submissions', i, 'name'],
      text: 'names two submissions',
    })),
  ];
  const classList = read(classes, ['classes']) ?? [];
  classList.forEach((name, i) => {
    const first = classList.findIndex((other) => other.normalize('NFC') === name.normalize('NFC'));
    if (first < i) problems.push({ path: ['classes', i], text: `"${name}" is named twice` });
  });
  const hasTask = at(value, ['task']) !== undefined;
  if (hasTask && at(value, ['classes']) !== undefined)
    problems.push({ path: ['classes'], text: 'cannot be given together with task: remove one of the two' });
  if (hasTask && submissionList.length > MOST_SUBMISSIONS)
    problems.push({
      path: ['submissions'],
      text: 'holds more than five submissions, the competition takes five at most',
    });
  const shares = read(split, ['split']);
  if (shares !== undefined && shares.val + shares.test >= 1)
    problems.push({
      path: ['split'],
      text: 'leaves no scan for training: val and test must be below 1 in sum',
    });
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
  const volume = read(recipeSchema.shape.volume, ['volume']);
  const voxels = volume && voxelsOf(volume);
  if (voxels !== undefined && voxels > RECIPE_BOUNDS.volume) {
    const text = `has ${voxels} voxels, more than ${RECIPE_BOUNDS.volume}: make its depth, height or width smaller`;
    problems.push({ path: ['volume'], text });
  }
  const batchSize = read(training.shape.batchSize, ['training', 'batchSize']);
  const accumulate = read(training.shape.accumulate, ['training', 'accumulate']) ?? 1;
  const inBatch = ((voxels ?? 0) * (batchSize ?? 0)) / accumulate;
  if (inBatch > RECIPE_BOUNDS.batch) {
    const text = `is too large: a batch would have ${inBatch} voxels, more than ${RECIPE_BOUNDS.batch}`;
    problems.push({ path: ['training', 'batchSize'], text });
  }
  const volumeMask = volume?.mask;
  if (memberList !== undefined) {
    const architectures = [...new Set(memberList.map(({ architecture }) => architecture))];
    for (const edge of ['height', 'width'] as const) {
      const pixels = read(recipeSchema.shape.volume.shape[edge], ['volume', edge]);
      const text = pixels !== undefined && tooSmall(pixels, architectures, minimumEdges);
      if (text) problems.push({ path: ['volume', edge], text });
    }
    problems.push(
      ...twins(memberList, { volumeMask, isGrid }),
      ...foldProblems(memberList, at(value, ['folds'])),
    );
  }
  memberList?.forEach(({ mask }, i) => {
    if (mask === undefined || volumeMask !== null) return;
    problems.push({ path: ['members', i, 'mask'], text: "is given, but the volume's is none" });
  });
  submissionList.forEach(({ name }, i) => {
    if (name.toLowerCase() !== OUT_OF_FOLD || !memberList?.some(({ fold }) => fold !== undefined)) return;
    const text = `cannot be ${OUT_OF_FOLD}: the table of out-of-fold probabilities has this name; choose another`;
    problems.push({ path: ['submissions', i, 'name'], text });
  });
  submissionList.forEach(({ members }, i) => {
    const twice = doubled(members);
    members.forEach((name, j) => {
      const path = ['submissions', i, 'members', j];
      if (twice.includes(j)) problems.push({ path, text: `"${name}" is named twice` });
      if (memberNames !== undefined && !memberNames.includes(name)) {
        problems.push({
          path,
          text: `"${name}" is no member${didYouMean(name, [...aliases, ...memberNames])}`,
        });
      }
    });
  });
  const { classWeights } = read(training.shape.loss, ['training', 'loss']) ?? {};
  const task = read(recipeSchema.shape.task, ['task']);
  const known = classesOf({ task, classes: classList.length > 0 ? classList : undefined });
  const folds = at(value, ['folds']);
  const hasFolds = memberList === undefined || memberList.every(({ fold }) => fold !== undefined);
  submissionList.forEach((submission, i) => {
    if (!isChosen(submission)) return;
    const { combination = 'mean', threshold } = submission;
    const field =
      combination !== 'mean' ? 'combination' : submission.temperature ? 'temperature' : 'threshold';
    if (!hasFolds) {
      const text =
        'needs members of folds: a choice made on the scans on which the best epochs were chosen would look better than it is; train by fold (members.folds), or leave it out';
      problems.push({ path: ['submissions', i, field], text });
    }
    const incomplete = memberList && hasFolds && lackingFolds(submission.members, memberList, folds);
    if (incomplete) {
      const text = `needs the members of all folds of each group: ${incomplete}`;
      problems.push({ path: ['submissions', i, 'members'], text });
    }
    if (threshold && known !== null && known.length !== 2) {
      const text = `needs two classes, and there are ${known.length}: leave it out`;
      problems.push({ path: ['submissions', i, 'threshold'], text });
    }
  });
  if (Array.isArray(classWeights) && known !== null && classWeights.length !== known.length) {
    const text = `has ${classWeights.length} numbers, but there are ${known.length} classes: ${known.join(', ')}`;
    problems.push({ path: ['training', 'loss', 'classWeights'], text });
  }
  return problems;
}

/** Which architectures cannot take an image with an edge of so many pixels; undefined if all can. */
function tooSmall(
  pixels: number,
  architectures: readonly string[],
  minimumEdges: Readonly<Record<string, number>>,
): string | undefined {
  const needs = architectures
    .map((name) => ({ name, least: Object.hasOwn(minimumEdges, name) ? minimumEdges[name]! : 0 }))
    .filter(({ least }) => pixels < least)
    .map(({ name, least }) => `${name} needs ${least} pixels or more`);
  return needs.length === 0 ? undefined : `${pixels}: ${needs.join(', ')}`;
}

/** Members that would be trained to the same weights as an earlier member: everything that their weights depend on is equal. */
function twins(
  members: Members,
  { volumeMask, isGrid }: { volumeMask: unknown; isGrid: boolean },
): Problem[] {
  const inputs = members.map(({ architecture, pretrained, seed, mask, fold }) =>
    JSON.stringify([architecture, pretrained, seed, mask ?? volumeMask ?? null, fold ?? null]),
  );
  return inputs.flatMap((input, i) => {
    const first = inputs.indexOf(input);
    if (first === i) return [];
    const text = isGrid
      ? 'is another of the architectures once more: same architecture, mask and start; give it another mask or start, or remove it'
      : `is members[${first}] once more: same architecture, mask, start${members[i]!.fold === undefined ? ' and seed' : ', seed and fold'}; give it another seed`;
    return [{ path: ['members', i], text }];
  });
}

type Members = z.infer<typeof recipeSchema.shape.members>;

/** Either all members are trained by fold or none, so that all are validated on the same scans. */
function foldProblems(members: Members, folds: unknown): Problem[] {
  const withFold = members.findIndex(({ fold }) => fold !== undefined);
  if (withFold < 0) return [];
  return members.flatMap(({ fold }, i) => {
    const path = ['members', i, 'fold'];
    if (fold === undefined) {
      const text = `is missing, but members[${withFold}] has one: either all members are trained by fold or none`;
      return [{ path, text }];
    }
    if (folds === undefined) {
      const text = 'is given, but not how many folds there are: add the field folds to the recipe';
      return [{ path, text }];
    }
    if (typeof folds !== 'number' || fold <= folds) return [];
    return [{ path, text: `must be at most folds, ${folds}, not ${fold}` }];
  });
}

/** The first group of members of a submission, alike but for their folds, that does not cover all folds; undefined if there is none. */
function lackingFolds(names: readonly string[], members: Members, folds: unknown): string | undefined {
  if (typeof folds !== 'number') return undefined;
  const groups = new Map<string, Members>();
  for (const member of members.filter(({ name }) => names.includes(name))) {
    const { architecture, pretrained, seed, mask } = member;
    const key = JSON.stringify([architecture, seed, pretrained, mask ?? null]);
    groups.set(key, [...(groups.get(key) ?? []), member]);
  }
  for (const group of groups.values()) {
    const missing = Array.from({ length: folds }, (_, f) => f + 1).filter(
      (fold) => !group.some((member) => member.fold === fold),
    );
    if (missing.length > 0) return `${group[0]!.name} has none for fold ${missing.join(', ')}`;
  }
  return undefined;
}

/** Positions of the names that came before; upper and lower case are one, as they are to some file systems. */
function doubled(names: readonly string[]): number[] {
  const plain = names.map((name) => name.toLowerCase());
  return plain.flatMap((name, i) => (plain.indexOf(name) < i ? [i] : []));
}

/** What zod found, in our words: several problems when several fields of one mapping are unknown. */
function describe(issue: z.core.$ZodIssue, root: Root): Problem[] {
  const { path } = issue;
  if (issue.code === 'unrecognized_keys') {
    const known = fieldsOf(path, root);
    return issue.keys.map((key) => ({
      path: [...path, key],
      text: `is not a field of a recipe${didYouMean(key, known) || ` (fields here: ${known.join(', ')})`}`,
    }));
  }
  const branch = issue.code === 'invalid_union' ? branchOf(issue) : undefined;
  if (branch) return branch.flatMap((inner) => describe({ ...inner, path: [...path, ...inner.path] }, root));
  const value = at(root.value, path);
  if (value === undefined) return [{ path, text: `is missing: it ${issue.message}` }];
  const shown = Array.isArray(value) && issue.code !== 'invalid_type' ? '' : `, not ${show(value)}`;
  return [
    { path, text: `${issue.message}${shown}${didYouMean(String(value), choicesOf(issue, path, root))}` },
  ];
}

/**
 * The issues of that branch of a union which takes the value's kind, a list or a mapping; undefined where the union has a
 * message of its own.
 */
function branchOf({ errors, message }: z.core.$ZodIssueInvalidUnion): z.core.$ZodIssue[] | undefined {
  if (message !== 'Invalid input') return undefined;
  const fitting = errors.filter(
    (issues) => !issues.some(({ code, path }) => code === 'invalid_type' && path.length === 0),
  );
  return fitting.length === 1 ? fitting[0] : undefined;
}

/** The values that a field may have, where they are names. */
function choicesOf(issue: z.core.$ZodIssue, path: Path, root: Root): string[] {
  if (issue.code === 'invalid_value') return issue.values.map(String);
  if (issue.code !== 'invalid_union') return [];
  const nested = issue.errors.flat().flatMap((inner) => choicesOf(inner, path, root));
  if (nested.length > 0) return nested;
  const around = path.slice(0, -1);
  const union = ofKind(schemaAt(around, root), at(root.value, around));
  return union instanceof z.ZodDiscriminatedUnion ? choicesIn(union, path.at(-1)!) : [];
}

const choicesIn = (union: z.ZodDiscriminatedUnion, key: PropertyKey): string[] =>
  union.options.map((option) => literalOf(option, key)).filter((name) => name !== undefined);

function literalOf(option: unknown, key: PropertyKey): string | undefined {
  const field = (option as z.ZodObject).shape[key as string];
  return field instanceof z.ZodLiteral ? String(field.value) : undefined;
}

function show(value: unknown): string {
  const json = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return json.length > 60 ? `${json.slice(0, 57)}…` : json;
}

/** The fields that the mapping at a path of the recipe has. */
function fieldsOf(path: Path, root: Root): string[] {
  const schema = chosen(schemaAt(path, root), at(root.value, path));
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/** The schema at a path; of unions on the way the branch that the recipe chose. */
function schemaAt(path: Path, root: Root): unknown {
  return path.reduce<unknown>((around, step, depth) => {
    const schema = chosen(around, at(root.value, path.slice(0, depth)));
    if (schema instanceof z.ZodArray) return schema.element;
    return schema instanceof z.ZodObject ? (schema.shape as Record<PropertyKey, unknown>)[step] : undefined;
  }, root.schema);
}

/** Without what stands around it: optional, default, nullable, preprocessing. */
function unwrapped(schema: unknown): unknown {
  while (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodPreprocess
  )
    schema = schema instanceof z.ZodPreprocess ? schema.out : schema.unwrap();
  return schema;
}

/** The branch of a union for the value's kind, a list or a mapping. */
function ofKind(schema: unknown, value: unknown): unknown {
  const inner = unwrapped(schema);
  if (inner instanceof z.ZodDiscriminatedUnion || !(inner instanceof z.ZodUnion)) return inner;
  const isList = Array.isArray(value);
  return unwrapped(inner.options.find((option) => unwrapped(option) instanceof z.ZodArray === isList));
}

/** The same, and of several mappings the one that the value names. */
function chosen(schema: unknown, value: unknown): unknown {
  const union = ofKind(schema, value);
  if (!(union instanceof z.ZodDiscriminatedUnion)) return union;
  const key = union.def.discriminator;
  return union.options.find((option) => literalOf(option, key) === at(value, [key]));
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

/** The line of a field in the text, from 1; for a field that is missing, the line of the nearest field around it. */
export function lineOf(document: Document, lines: LineCounter, path: Path): number {
  return lines.linePos(offsetOf(document, path)).line;
}

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

/** A path as people write it: `training.learningRate[1].rate`. */
export function fieldName(path: Path): string {
  return path
    .map((step, i) => (typeof step === 'number' ? `[${step}]` : `${i === 0 ? '' : '.'}${String(step)}`))
    .join('');
}
