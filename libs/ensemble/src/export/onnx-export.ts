// Writes the trained members of a run as one ONNX file.
import { writeFileAtomic } from '@ct-ensemble/core';
import { type EnsembleNetwork, graphOfWeights, onnxEnsemble } from '@ct-ensemble/models';
import { type ExportedEnsemble, exportedEnsemble, type ExportOptions } from './exported-members.ts';

/**
 * Writes the ensemble as ONNX; see `onnxEnsemble` for inputs and outputs. The same run gives the same bytes. tfjs's current
 * backend is closed afterwards.
 * @returns what was exported, and the size of the file in bytes
 * @throws {UserError} as `exportedEnsemble`, or if the file would be larger than ONNX allows.
 */
export async function exportOnnx(
  file: string,
  options: ExportOptions,
): Promise<{ ensemble: ExportedEnsemble; bytes: number }> {
  const ensemble = await exportedEnsemble(options);
  const { recipe, classes, inputs, weights, temperature } = ensemble;
  const members: EnsembleNetwork[] = [];
  for (const { name, architecture, views, size, input, file, tensors } of ensemble.members) {
    const network = { architecture, views, classes: classes.length, size };
    members.push({ name, input, ...(await graphOfWeights(file, network, tensors)) });
  }
  const model = onnxEnsemble({
    members,
    weights,
    temperature,
    name: recipe,
    metadata: {
      recipe,
      classes: JSON.stringify(classes),
      members: JSON.stringify(
        ensemble.members.map(({ name, architecture, views, input, sha256 }, i) => {
          const weight = weights?.[i] ?? 1 / members.length;
          return { name, architecture, views, input, weight, sha256 };
        }),
      ),
      inputs: JSON.stringify(inputs),
      values: 'grey values 0 … 255 as bytes',
      temperature: JSON.stringify(temperature ?? null),
    },
  });
  await writeFileAtomic(file, [model]);
  return { ensemble, bytes: model.length };
}
