// The fields of a recipe: data, volumes, members, training and submissions.
import { fields } from '@ct-ensemble/core';
import { COMPETITION_TASKS, layoutNames } from '@ct-ensemble/data';
import { trainingSchema } from '@ct-ensemble/training';
import { z } from 'zod';
import { engineSettingsSchema } from './engine-settings.ts';
import { isSafeName, safeNameRule } from '../names.ts';

const { count, countUpTo, flag, mapping, seed, sequence, text, whole } = fields;
const safeName = z.string('must be text').refine(isSafeName, `must be a safe folder name: ${safeNameRule}`);

/** Bounds of what a recipe may ask for, far above what the memory of a machine holds. */
export const RECIPE_BOUNDS = {
  /** Slices of a volume, all views together; pixels of an edge; pixels by which a mask grows. */
  size: 4096,
  /** Voxels of a volume, one byte each: 256 MiB. */
  volume: 2 ** 28,
  /** Voxels of a batch, on the device four bytes each: 8 GiB. */
  batch: 2 ** 31,
  members: 1000,
} as const;

type CompetitionTask = keyof typeof COMPETITION_TASKS;
const tasks = Object.keys(COMPETITION_TASKS) as [CompetitionTask, ...CompetitionTask[]];
const tasksInWords = Object.entries(COMPETITION_TASKS).map(([task, names]) => `${task}: ${names.join(', ')}`);

const shareMessage = 'must be a share, 0 or more and below 1';
const share = z.number(shareMessage).min(0, shareMessage).lt(1, shareMessage);

const splitSchema = mapping({
  val: share.refine((value) => value > 0, 'must be above 0').describe('Share of the scans for validation.'),
  test: share.default(0).describe('Share of the scans for test; 0: none.'),
  seed: seed.default(1).describe('Of the draw that orders the patients.'),
});

const foldsMessage = 'must be a whole number, 2 or more';

/** How many folds there are. */
export const foldCount = whole.min(2, foldsMessage);

export const maskSchema = mapping({
  dilate: z
    .int('must be an odd number')
    .min(1, 'must be an odd number')
    .max(RECIPE_BOUNDS.size, `must be at most ${RECIPE_BOUNDS.size}`)
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
  pretrained: flag
    .default(false)
    .describe('Starts from the weights published for ImageNet; nx run weights:fetch brings them.'),
  mask: maskSchema.optional().describe("In the place of the volume's mask, for this member."),
  fold: count
    .optional()
    .describe(
      'From 1: validated on this fold of the scans for training and validation, trained on the others; the field folds says how many there are.',
    ),
});

const submissionSchema = mapping({
  name: safeName.describe('Names the folder of the submission.'),
  members: z
    .array(text, 'must be a list of members, or all')
    .min(1, 'needs at least one member')
    .describe(
      'Names of members, or of groups of them in a grid, or all; the mean of their softmax outputs is submitted.',
    ),
  combination: z
    .enum(['mean', 'weighted', 'greedy'], 'must be mean, weighted or greedy')
    .optional()
    .describe(
      'How the members are combined. weighted: weights of least log loss; greedy: members selected by macro F1, one after the other. Both are chosen on out-of-fold probabilities and need members of folds. Left out: mean.',
    ),
  temperature: flag
    .optional()
    .describe('true: a temperature is fitted to the combined out-of-fold probabilities.'),
  threshold: flag
    .optional()
    .describe(
      'true, for two classes: the probability from which the first class is called is chosen on the out-of-fold probabilities by macro F1.',
    ),
});

/**
 * The fields of a recipe, written out: `parseRecipe` makes lists of members from grids, and checks rules that involve several
 * fields.
 */
export const recipeSchema = mapping({
  name: safeName.describe('Name of the recipe and of its runs.'),
  task: z
    .enum(tasks, `must be ${tasks.join(' or ')}`)
    .optional()
    .describe(`Short for the classes and the layout of the COV19D competition. ${tasksInWords.join('; ')}.`),
  classes: sequence(
    text
      .regex(/^[^\p{Cc}]*$/u, 'must not hold control characters or line breaks')
      .refine((name) => name === name.trim(), 'must not begin or end with a space'),
  )
    .min(2, 'needs two classes or more')
    .optional()
    .describe('Names of the classes in label order; left out, with task left out too: those of the data.'),
  layout: z
    .enum(layoutNames, `must be one of ${layoutNames.join(', ')}`)
    .optional()
    .describe('How the data set is laid out; the option --layout goes first.'),
  split: splitSchema
    .optional()
    .describe('How scans are split, by patient and stratified by class, if the data set does not say.'),
  folds: foldCount
    .optional()
    .describe(
      'Number of folds, by patient and stratified by class, of the scans for training and validation; drawn by split.seed. Members with a field fold are trained by fold. A grid of members has it as members.folds.',
    ),
  description: text.describe('What the recipe is for, one or two sentences.'),
  volume: mapping({
    depth: z
      .union([count, sequence(count).length(2, 'must be one number, or two for two views')], {
        error: 'must be a whole number, 1 or more, or two of them for two views',
      })
      .refine((depth) => slicesOf(depth) <= RECIPE_BOUNDS.size, `must be at most ${RECIPE_BOUNDS.size}`)
      .describe('Slices; [32, 16]: two views, of 32 and of 16 slices.'),
    height: countUpTo(RECIPE_BOUNDS.size).describe('Pixels.'),
    width: countUpTo(RECIPE_BOUNDS.size).describe('Pixels.'),
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
    equalize: flag.default(false).describe('The histogram of each slice is equalised, after the mask.'),
  }).describe('What a scan is resampled to.'),
  members: z
    .array(memberSchema, 'must be a list of members, or a grid with architectures and seeds')
    .min(1, 'needs at least one member')
    .max(RECIPE_BOUNDS.members, `has more than ${RECIPE_BOUNDS.members} members`)
    .describe('The networks that are trained.'),
  training: trainingSchema,
  engine: engineSettingsSchema.optional(),
  submissions: sequence(submissionSchema)
    .min(1, 'needs at least one submission')
    .describe(
      'What is submitted: single members and ensembles; with task, five at most. Left out: ensemble, of all members.',
    ),
});

export type Recipe = z.infer<typeof recipeSchema>;

/** Whether the submission is anything but the plain mean, and so makes a choice on out-of-fold probabilities. */
export const isChosen = ({
  combination = 'mean',
  temperature,
  threshold,
}: Pick<Recipe['submissions'][number], 'combination' | 'temperature' | 'threshold'>): boolean =>
  combination !== 'mean' || temperature === true || threshold === true;

/** The classes in label order that the recipe asks for; null: those of the data. */
export function classesOf({ classes, task }: Pick<Recipe, 'classes' | 'task'>): readonly string[] | null {
  return classes ?? (task === undefined ? null : COMPETITION_TASKS[task]);
}

/** Number of voxels of a volume. */
export function voxelsOf({
  depth,
  height,
  width,
}: Pick<Recipe['volume'], 'depth' | 'height' | 'width'>): number {
  return slicesOf(depth) * height * width;
}

function slicesOf(depth: number | number[]): number {
  return [depth].flat().reduce((sum, slices) => sum + slices, 0);
}

/** What the members' volumes are prepared to, with the members of each: one for most recipes. */
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
