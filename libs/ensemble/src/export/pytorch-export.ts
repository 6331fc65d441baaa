// Writes the trained members of a run as a folder that PyTorch loads: safetensors, ensemble.json and a program in Python.
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  codeOf,
  MAX_BYTES,
  readRegularFile,
  readRegularText,
  UserError,
  writeFileAtomic,
  writeJson,
} from '@ct-ensemble/core';
import { type ExportedEnsemble, exportedEnsemble, type ExportOptions } from './exported-members.ts';

const script = fileURLToPath(new URL('../../pytorch/predict.py', import.meta.url));

/**
 * Writes MEMBER.safetensors of each member, ensemble.json and predict.py into a folder that is new or empty.
 * @returns what was exported
 * @throws {UserError} as `exportedEnsemble`; if the folder is not empty; or for a network that neither torchvision nor timm has.
 */
export async function exportPyTorch(folder: string, options: ExportOptions): Promise<ExportedEnsemble> {
  await requireEmpty(folder);
  const program = await readRegularText(script, { maxBytes: MAX_BYTES.record });
  const ensemble = await exportedEnsemble(options);
  const { recipe, classes, members, inputs, weights, temperature } = ensemble;
  for (const { name, architecture } of members)
    if (!program.includes(`    "${architecture}": `))
      throw new UserError(`the member ${name} is ${architecture}, which neither torchvision nor timm has`, {
        remedy: 'export it as ONNX: --format onnx',
      });
  await mkdir(folder, { recursive: true });
  for (const { name, file } of members)
    await writeFileAtomic(
      join(folder, `${name}.safetensors`),
      await readRegularFile(file, { maxBytes: MAX_BYTES.weights }),
    );
  await writeFileAtomic(join(folder, 'predict.py'), program);
  await writeJson(join(folder, 'ensemble.json'), {
    recipe,
    classes,
    members: members.map(({ name, architecture, views, input, sha256 }, i) => {
      const weight = weights?.[i] ?? 1 / members.length;
      return { name, architecture, views, input, weight, file: `${name}.safetensors`, sha256 };
    }),
    inputs,
    temperature: temperature ?? null,
  });
  return ensemble;
}

async function requireEmpty(folder: string) {
  try {
    if ((await readdir(folder)).length === 0) return;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  throw new UserError('the folder is not empty', { file: folder, remedy: 'name another with --out' });
}
