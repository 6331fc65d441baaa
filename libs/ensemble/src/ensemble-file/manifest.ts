// manifest.json of an ensemble file: everything about the ensemble but its weights.
import { statisticNames } from '@ct-ensemble/data';
import { z } from 'zod';
import { isSafeName } from '../names.ts';
import { maskSchema } from '../recipes/schema.ts';

/** Version of the format. A program reads files of its own version only. */
export const FORMAT_VERSION = 1;

const count = z.int().positive();
const probability = z.number().min(0).max(1);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const safeName = z.string().refine(isSafeName, 'must be a safe name');

const preparation = z.object({
  depth: z.union([count, z.array(count).length(2)]),
  height: count,
  width: count,
  slices: z.enum(['all', 'lung']),
  sampling: z.enum(['nearest', 'lung-area']),
  secondView: z.enum(['shared', 'own']),
  mask: maskSchema.nullable(),
  equalize: z.boolean(),
  values: z.string().exactOptional(),
});

const member = z.object({
  name: safeName,
  architecture: z.string(),
  seed: z.int(),
  /** Fold that the member was validated on, from 1; null: members were not trained by fold. */
  fold: count.nullable(),
  /** Whether it started from published weights. */
  pretrained: z.boolean(),
  /** Slices of each view. */
  views: z.array(count).min(1).max(2),
  /** Index into `preparation.volumes`. */
  volume: z.int().nonnegative(),
  /** Entry of the weights. */
  weights: z.string(),
  /** SHA-256 of the tensors of the run's best checkpoint. */
  checkpoint: sha256,
  /** Counts from 1. */
  bestEpoch: count.nullable(),
  macroF1: z.number().nullable(),
});

const network = z.object({
  /** Entry of the weights. */
  weights: z.string(),
  /** Kind, architecture, size and digest of the file, as in the content keys of volumes. */
  id: z.string(),
});

const range = z.object({ min: z.number(), max: z.number() });

const interval = z.object({ estimate: z.number(), low: z.number().nullable(), high: z.number().nullable() });

const scored = z.object({
  scans: count,
  patients: count,
  macroF1: interval,
  accuracy: interval,
  /** Null where it is not defined. */
  auroc: interval.nullable(),
  /** Rows: truth, columns: prediction. */
  confusion: z.array(z.array(z.int().nonnegative())),
  /** A class has fewer than ten scans: the intervals are rough ones. */
  rough: z.boolean(),
});

const entrySchema = z.object({ name: z.string(), bytes: z.int().nonnegative(), sha256 });

export const manifestSchema = z.object({
  format: z.literal('ct-ensemble'),
  version: z.literal(FORMAT_VERSION),
  /** Name of the submission whose members these are, or of the recipe. */
  name: safeName,
  /** Class names in label order. */
  classes: z.array(z.string().min(1)).min(2),
  members: z.array(member).min(1),
  preparation: z.object({
    /** Version of the code that makes grey values. */
    version: z.int(),
    /** The kinds of volumes that members see, each prepared once a scan. */
    volumes: z.array(preparation).min(1),
    filter: network.nullable(),
    segmenter: network.nullable(),
  }),
  combination: z.object({
    /** `mean` of the members' probabilities, or their weighted mean. */
    method: z.enum(['mean', 'weighted']),
    /** One for each member, sum 1; null for the mean. */
    weights: z.array(probability).nullable(),
  }),
  engine: z.object({
    precision: z.enum(['float32', 'mixed', 'mixed-float16']),
    tf32: z.boolean().optional(),
    deterministic: z.boolean().optional(),
    /** What the members were trained with: engine, device, library and Node, each once. */
    trainedWith: z.array(z.string()),
  }),
  /** Scans of a batch when the run predicted; a batch that was not full was filled up with black volumes. */
  batches: z.object({ val: count, test: count }),
  calibration: z.object({
    /** Whose probabilities: out-of-fold ones, or those of the validation scans, on which each member's best epoch was chosen. */
    source: z.enum(['out-of-fold', 'validation']),
    scans: count,
    patients: count,
    temperature: z.object({
      value: z.number().positive(),
      logLossBefore: z.number(),
      logLossAfter: z.number(),
    }),
    conformal: z
      .array(
        z.object({
          /** Share of sets that may miss the true class. */
          alpha: z.number().positive().lt(1),
          method: z.literal('lac'),
          /** Greatest 1 − probability that stays in the set; null: too few scans, so that every class stays. */
          threshold: z.number().nullable(),
          coverageRange: z.tuple([z.number(), z.number()]).nullable(),
          guarantee: z.string(),
        }),
      )
      .min(1),
  }),
  scores: z.object({ calibration: scored, test: scored.nullable() }),
  /** The scans for training, with which new scans are compared. */
  training: z.object({
    scans: count,
    /** Scans of each class, in label order. */
    perClass: z.array(z.int().nonnegative()),
    /** Smallest and greatest number over the training scans. */
    ranges: z.object(
      Object.fromEntries(statisticNames.map((name) => [name, range])) as Record<
        (typeof statisticNames)[number],
        typeof range
      >,
    ),
    /** Kinds of findings about values that at least one scan of the data set had. */
    valueFindings: z.array(z.string()),
  }),
  weights: z.object({
    type: z.enum(['float32', 'float16']),
    /** Of float16 weights against the run's own probabilities of its validation scans; null for float32. */
    difference: z
      .object({
        scans: count,
        /** Greatest difference of a member's probability. */
        members: z.number(),
        /** Greatest difference of the ensemble's probability. */
        ensemble: z.number(),
        /** Scans whose predicted class changes. */
        changedClasses: z.int().nonnegative(),
        device: z.string(),
      })
      .nullable(),
  }),
  run: z.object({
    recipe: z.string(),
    task: z.string().nullable(),
    /** SHA-256 over names, labels, contents and folds of the run's scans. */
    dataset: z.string(),
  }),
  packedWith: z.object({ ctEnsemble: z.string() }),
  /** All other entries of the file. */
  entries: z.array(entrySchema),
});

/** The content of manifest.json. */
export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestMember = Manifest['members'][number];
export type EnsembleScores = Manifest['scores']['calibration'];
