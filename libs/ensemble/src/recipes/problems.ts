// What is wrong with a recipe, in words: the problems that the schema finds and those that involve several fields.
import { UserError } from '@ct-ensemble/core';
import { isMap, isNode, isScalar, isSeq, type Document, type LineCounter } from 'yaml';
import { z } from 'zod';
import { didYouMean } from '../names.ts';
import { RECIPE_BOUNDS, recipeSchema, voxelsOf } from './schema.ts';

export interface RecipeOptions {
  /** Architectures that exist. Without it any name is accepted. */
  architectures?: readonly string[];
  /** Those of them that have published weights. Without it any member may start from some. */
  published?: readonly string[];
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
  const told = problems.sort((a, b) => a.line - b.line).map(({ line, text }) => `line ${line}: ${text}`);
  const listed = told.slice(0, MOST_LISTED);
  if (told.length > MOST_LISTED) listed.push(`and ${told.length - MOST_LISTED} more`);
  return told.length === 1
    ? new UserError(told[0]!, { file: source })
    : new UserError(`${told.length} problems\n  ${listed.join('\n  ')}`, { file: source });
}

/** All problems of a recipe: `issues` are those that the schema found in `value`. */
export function problemsIn(
  value: unknown,
  issues: readonly z.core.$ZodIssue[],
  options: RecipeOptions,
): Problem[] {
  return [...issues.flatMap((issue) => describe(issue, value)), ...crossProblems(value, options)];
}

/** Rules that involve several fields. A field that breaks the schema is reported by the schema and skipped here. */
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
  const volume = read(recipeSchema.shape.volume, ['volume']);
  const voxels = volume && voxelsOf(volume);
  if (voxels !== undefined && voxels > RECIPE_BOUNDS.volume) {
    const text = `has ${voxels} voxels, more than ${RECIPE_BOUNDS.volume}: make its depth, height or width smaller`;
    problems.push({ path: ['volume'], text });
  }
  const batchSize = read(training.shape.batchSize, ['training', 'batchSize']);
  if (voxels !== undefined && batchSize !== undefined && voxels * batchSize > RECIPE_BOUNDS.batch) {
    const text = `is too large: a batch would have ${voxels * batchSize} voxels, more than ${RECIPE_BOUNDS.batch}`;
    problems.push({ path: ['training', 'batchSize'], text });
  }
  const volumeMask = volume?.mask;
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
