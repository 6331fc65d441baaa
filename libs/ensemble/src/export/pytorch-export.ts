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

/** How Python makes the backbone of an architecture: a function, and its arguments besides the number of classes. */
const backbones: Readonly<Record<string, { backbone: string; arguments: Record<string, unknown> }>> = {
  densenet161: { backbone: 'torchvision.models.densenet161', arguments: {} },
  densenet_small: {
    backbone: 'torchvision.models.DenseNet',
    arguments: { growth_rate: 8, block_config: [2, 2, 2], num_init_features: 8, bn_size: 2 },
  },
  inception_v3: {
    backbone: 'torchvision.models.inception_v3',
    arguments: { aux_logits: false, transform_input: true, init_weights: false },
  },
  inception_v4: { backbone: 'timm.create_model', arguments: { model_name: 'inception_v4' } },
  inception_resnet_v2: { backbone: 'timm.create_model', arguments: { model_name: 'inception_resnet_v2' } },
  resnext50_32x4d: { backbone: 'torchvision.models.resnext50_32x4d', arguments: {} },
};

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
    if (!Object.hasOwn(backbones, architecture))
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
      const { backbone, arguments: own } = backbones[architecture]!;
      const made = { backbone, arguments: { ...own, num_classes: classes.length } };
      return { name, architecture, ...made, views, input, weight, file: `${name}.safetensors`, sha256 };
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
