// The programs whose commands docs/cli.md lists.
import { evaluatorProgram } from '@ct-ensemble/evaluator/program';
import { modelsProgram } from '@ct-ensemble/models/program';
import { phantomsProgram } from '@ct-ensemble/phantoms/program';
import { trainerProgram } from '@ct-ensemble/trainer/program';
import { weightsProgram } from '@ct-ensemble/weights/program';

export const programs = [trainerProgram, evaluatorProgram, phantomsProgram, weightsProgram, modelsProgram];
