// What an export is made of: the trained members of a run, their weights, how they are combined, and which volumes they see.
import { UserError } from '@ct-ensemble/core';
import { readSafetensors, type StoredTensors } from '@ct-ensemble/models';
import { requireBest } from '@ct-ensemble/training';
import { didYouMean } from '../names.ts';
import { preparationsOf, type Recipe } from '../recipes/schema.ts';
import { type Plan, readPlan } from '../run/plan.ts';
import { memberFolder } from '../run-folder.ts';
import { readDone } from '../run-records.ts';

export interface ExportOptions {
  /** Folder of the run. */
  run: string;
  /** Name of the submission whose members are exported. Default: all members. */
  submission?: string | undefined;
  /** One member that is exported alone, in the place of a submission. */
  single?: string | undefined;
  /** Weight of each member, in the order of the members; not negative, sum 1. Default: equal weights. */
  weights?: readonly number[] | undefined;
  /** The mean p becomes softmax(ln p / T). Default: it stays as it is. */
  temperature?: number | undefined;
}

export interface ExportedMember {
  name: string;
  architecture: string;
  /** Number of slices of each view. */
  views: number[];
  /** Height and width of a slice, in pixels. */
  size: [height: number, width: number];
  /** Name of the input that it sees. */
  input: string;
  /** The file of its weights. */
  file: string;
  tensors: StoredTensors;
  /** SHA-256 of the tensors of its checkpoint. */
  sha256: string;
}

export interface ExportedInput {
  name: string;
  /** [slices, height, width]; with two views the slices of the first come first. */
  volume: [slices: number, height: number, width: number];
  /** How scans are prepared to it. */
  preparation: Recipe['volume'];
}

export interface ExportedEnsemble {
  recipe: string;
  /** Names in label order. */
  classes: string[];
  members: ExportedMember[];
  inputs: ExportedInput[];
  /** Undefined: the mean. */
  weights: readonly number[] | undefined;
  temperature: number | undefined;
}

/**
 * Reads the members' best weights and checks their digests.
 * @throws {UserError} if there is no run, a member is unknown, not trained, or its weights are missing or damaged; or if the
 * weights or the temperature break a rule of `ExportOptions`.
 */
export async function exportedEnsemble(options: ExportOptions): Promise<ExportedEnsemble> {
  const { run, weights, temperature } = options;
  const plan = await readPlan(run);
  const names = chosenMembers(plan, options);
  requireCombination(names, { weights, temperature });
  const { recipe } = plan;
  const preparations = preparationsOf(recipe).filter(({ members }) =>
    members.some((name) => names.includes(name)),
  );
  const inputName = (i: number) => (preparations.length === 1 ? 'volume' : `volume-${i + 1}`);
  const members: ExportedMember[] = [];
  for (const name of names) {
    const { architecture, views } = plan.members.find((member) => member.name === name)!;
    const { height, width } = views[0]!;
    const done = await readDone(run, name);
    if (done === undefined)
      throw new UserError(`the member ${name} is not trained yet`, {
        file: run,
        remedy: `nx run trainer:all-members -- --run ${run}, or choose other members with --submission or --single`,
      });
    const { file, sha256 } = await requireBest(memberFolder(run, name), done);
    members.push({
      name,
      architecture,
      views: views.map(({ depth }) => depth),
      size: [height, width],
      input: inputName(preparations.findIndex((each) => each.members.includes(name))),
      file,
      tensors: (await readSafetensors(file)).tensors,
      sha256,
    });
  }
  const inputs = preparations.map(({ preparation }, i): ExportedInput => {
    const { depth, height, width } = preparation;
    const slices = [depth].flat().reduce((sum, count) => sum + count, 0);
    return { name: inputName(i), volume: [slices, height, width], preparation };
  });
  return { recipe: recipe.name, classes: plan.dataset.classes, members, inputs, weights, temperature };
}

/** The names of the members, in the order in which their probabilities are combined. */
function chosenMembers(plan: Plan, { run, submission, single }: ExportOptions): string[] {
  const all = plan.members.map(({ name }) => name);
  if (single !== undefined) {
    if (all.includes(single)) return [single];
    throw new UserError(`there is no member ${JSON.stringify(single)}${didYouMean(single, all)}`, {
      file: run,
      remedy: `choose one of ${all.join(', ')}`,
    });
  }
  if (submission === undefined) return all;
  const { submissions } = plan.recipe;
  const found = submissions.find(({ name }) => name === submission);
  if (found !== undefined) return found.members;
  const names = submissions.map(({ name }) => name);
  throw new UserError(
    `there is no submission ${JSON.stringify(submission)}${didYouMean(submission, names)}`,
    {
      file: run,
      remedy: `choose one of ${names.join(', ')}`,
    },
  );
}

function requireCombination(
  names: readonly string[],
  { weights, temperature }: Pick<ExportOptions, 'weights' | 'temperature'>,
) {
  if (weights !== undefined) {
    const sum = weights.reduce((total, weight) => total + weight, 0);
    if (
      weights.length !== names.length ||
      !weights.every((weight) => weight >= 0) ||
      !(Math.abs(sum - 1) < 1e-6)
    )
      throw new UserError(`the weights ${weights.join(', ')} do not fit the ${names.length} members`, {
        remedy: `give one number for each of ${names.join(', ')}, not negative, with the sum 1`,
      });
  }
  if (temperature !== undefined && !(temperature > 0 && Number.isFinite(temperature)))
    throw new UserError(`the temperature ${temperature} is not a number above 0`);
}
