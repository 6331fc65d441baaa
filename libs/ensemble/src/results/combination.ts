// Submissions that choose weights, a temperature or a threshold: chosen on out-of-fold probabilities, reported nested, applied to other scans.
import { messageOf, UserError } from '@ct-ensemble/core';
import {
  type AnswerScores,
  type CombinationChoice,
  type CombinationMethod,
  combined,
  nested,
  type Predictions,
  predictionsOf,
} from '@ct-ensemble/evaluation';
import type { Plan } from '../run/plan.ts';
import { isChosen, type Recipe } from '../recipes/schema.ts';
import type { RunMembers, UsableMember } from './members.ts';
import { type FoldedMember, foldedMembers, groupsOf, outOfFold, scoresOfAnswers } from './out-of-fold.ts';
import { meanProbabilities, type Probabilities } from './probabilities.ts';
import type { RunScans } from './run-scans.ts';

type SubmissionRecipe = Recipe['submissions'][number];

/** What a submission chooses, as summary.json and the JSON of an evaluation have it. */
export interface ChosenCombination {
  method: CombinationMethod;
  /** The weight of each group of members that differ in nothing but their folds; within a group all folds have the same. */
  weights: { group: string; weight: number }[];
  /** Above 1: the probabilities were too certain. Null if none is asked for. */
  temperature: number | null;
  /** The class that is called from a probability on, and this probability. Null if none is asked for. */
  threshold: { class: string; probability: number } | null;
  /** Scans that the choice was made on. */
  scans: number;
}

/** The honest scores of a submission's combination. */
export interface CombinationScores {
  submission: string;
  /** The final choice, made on the scans of all folds. */
  choice: ChosenCombination;
  /** Nested: each fold is answered by the choice that was made on the other folds. */
  nested: AnswerScores;
  /** Of the plain mean of the same members on the same scans. */
  mean: AnswerScores;
  /** On the test scans with the final choice; null if their classes are not known. */
  test: AnswerScores | null;
}

/** A submission whose combination is chosen, with what it needs. */
export interface Combination {
  choice: ChosenCombination;
  /** The nested out-of-fold probabilities, of the scans in the order of the run. */
  nested: Probabilities;
  mean: Probabilities;
  /** The final choice, applied to the members' probabilities of the test scans. */
  apply(members: readonly { name: string; probabilities: Probabilities }[]): Probabilities;
}

/**
 * Makes the submission's choice on the out-of-fold probabilities of its members, which must all be given.
 * @throws UserError if the members have no folds, a group of members does not cover all folds, there are other than two classes for a
 * threshold, or a class has no scan.
 */
export function chooseCombination(
  submission: SubmissionRecipe,
  {
    plan,
    members,
    scans,
  }: {
    plan: Pick<Plan, 'members' | 'recipe'>;
    members: readonly FoldedMember[];
    scans: Pick<RunScans, 'inFolds'>;
  },
): Combination {
  const { name, combination: method = 'mean', temperature = false, threshold = false } = submission;
  const refuse = (problem: string, remedy: string): never => {
    throw new UserError(`The combination of the submission ${name} cannot be chosen: ${problem}`, { remedy });
  };
  if (plan.recipe.folds === undefined || members.some(({ fold }) => fold === undefined))
    refuse(
      'its members have no folds, and a choice made on the scans on which the best epochs were chosen would look better than it is',
      'train by fold (members.folds in the recipe), or leave combination, temperature and threshold out',
    );
  const groups = groupsOf(plan).flatMap((group) => {
    const own = members.filter((member) => group.members.some((other) => other.name === member.name));
    return own.length === 0 ? [] : [{ name: group.name, members: own }];
  });
  const folds = new Set(scans.inFolds.map(({ fold }) => fold));
  for (const group of groups) {
    const missing = [...folds].filter((fold) => !group.members.some((member) => member.fold === fold));
    if (missing.length > 0)
      refuse(
        `${group.name} has no member for fold ${missing.sort((a, b) => a - b).join(', ')}`,
        'name the members of all folds in the submission',
      );
  }
  const perGroup = groups.map((group) => outOfFold(group.members, scans.inFolds));
  const mean = outOfFold(members, scans.inFolds);
  const { classes } = mean;
  if (threshold && classes.length !== 2)
    refuse(`a threshold needs two classes, and there are ${classes.length}`, 'leave threshold out');
  const foldOf = new Map(scans.inFolds.map(({ key, fold }) => [key, fold]));
  const strategy = combined({ method, temperature, threshold });
  const rows = perGroup.map(asPredictions);
  const made = nested(
    rows,
    mean.scans.map(({ key }) => foldOf.get(key)!),
    strategy,
  );
  return {
    choice: described(made.final, {
      method,
      groups: groups.map((group) => group.name),
      classes,
      scans: mean.scans.length,
    }),
    nested: withRows(mean, made.predictions),
    mean,
    apply(given) {
      // Refuses members that disagree, by their names.
      const whole = meanProbabilities(
        given.map(({ probabilities }) => probabilities),
        given.map((member) => member.name),
      );
      if (whole.scans.length === 0) return whole;
      const ofGroups = groups.map((group) => {
        const own = given.filter((member) => group.members.some((other) => other.name === member.name));
        return asPredictions(
          meanProbabilities(
            own.map(({ probabilities }) => probabilities),
            own.map((member) => member.name),
          ),
        );
      });
      return withRows(whole, strategy.apply(ofGroups, made.final));
    },
  };
}

/** The combination of a submission all of whose members are usable. @throws UserError, see {@link chooseCombination}. */
export function combinationOf(
  submission: SubmissionRecipe,
  {
    plan,
    scans,
    usable,
  }: {
    plan: Plan;
    scans: Pick<RunScans, 'inFolds'>;
    usable: readonly Pick<UsableMember, 'name' | 'probabilities'>[];
  },
): Combination {
  const own = usable.filter(({ name }) => submission.members.includes(name));
  return chooseCombination(submission, { plan, members: foldedMembers(plan, own), scans });
}

/** The submissions of a run that choose weights, a temperature or a threshold and whose members can all be used. */
export interface ChosenSubmissions {
  submissions: { name: string; members: readonly string[]; combination: Combination }[];
  /** Why a choice could not be made, one line each. */
  problems: string[];
}

/** Makes the choices of the recipe's submissions. */
export function chosenSubmissions({
  plan,
  scans,
  members: { usable },
}: {
  plan: Plan;
  scans: Pick<RunScans, 'inFolds'>;
  members: Pick<RunMembers, 'usable'>;
}): ChosenSubmissions {
  const chosen: ChosenSubmissions = { submissions: [], problems: [] };
  const isUsable = (name: string) => usable.some((member) => member.name === name);
  for (const submission of plan.recipe.submissions) {
    const { name, members } = submission;
    if (!isChosen(submission) || !members.every(isUsable)) continue;
    try {
      const combination = combinationOf(submission, { plan, scans, usable });
      chosen.submissions.push({ name, members, combination });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      chosen.problems.push(messageOf(error));
    }
  }
  return chosen;
}

/** Scores of a chosen combination; `test` are its probabilities of the test scans if their classes are known. */
export function scoresOfCombination(
  submission: string,
  { choice, nested: honest, mean }: Combination,
  test: Probabilities | null,
): CombinationScores {
  return {
    submission,
    choice,
    nested: scoresOfAnswers(honest),
    mean: scoresOfAnswers(mean),
    test: test && scoresOfAnswers(test),
  };
}

/** Scans whose class is not known get label 0; nothing that is applied to them looks at labels. */
export function asPredictions({ classes, scans, rows }: Probabilities): Predictions {
  return predictionsOf({
    classes: classes.length,
    labels: scans.map(({ label }) => label ?? 0),
    probabilities: rows,
  });
}

/** Other probabilities of the same scans. */
export function withRows(p: Probabilities, { probabilities, classes }: Predictions): Probabilities {
  return {
    ...p,
    rows: p.scans.map((_, i) => [...probabilities.subarray(i * classes, (i + 1) * classes)]),
  };
}

function described(
  { weights, temperature, threshold }: CombinationChoice,
  about: { method: CombinationMethod; groups: readonly string[]; classes: readonly string[]; scans: number },
): ChosenCombination {
  return {
    method: about.method,
    weights: about.groups.map((group, i) => ({ group, weight: weights[i]! })),
    temperature: temperature?.temperature ?? null,
    threshold:
      threshold === null
        ? null
        : { class: about.classes[threshold.positive]!, probability: threshold.threshold },
    scans: about.scans,
  };
}

/** The choice in words: `greedy: a 0.60, b 0.40; temperature 1.20; covid from 0.412 on`. */
export function choiceWords({ method, weights, temperature, threshold }: ChosenCombination): string {
  const used = weights
    .filter(({ weight }) => weight >= 0.005)
    .sort((a, b) => b.weight - a.weight)
    .map(({ group, weight }) => `${group} ${weight.toFixed(2)}`);
  return [
    method === 'mean' ? 'mean' : `${method}: ${used.join(', ')}`,
    ...(temperature === null ? [] : [`temperature ${temperature.toFixed(2)}`]),
    ...(threshold === null ? [] : [`${threshold.class} from ${threshold.probability.toFixed(3)} on`]),
  ].join('; ');
}
