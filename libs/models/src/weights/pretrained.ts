// Loads published weights into a network, which may have another head, another number of input channels, or a front.
import { UserError } from '@ct-ensemble/core';
import { cacheFolder } from '@ct-ensemble/engine';
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fromPyTorch, pytorchShape, type Parameter } from './parameters.ts';
import { architectureOf, type Model } from '../registry.ts';
import { verifyPublished } from './published.ts';
import { asFloat32, readSafetensors, type StoredTensorOf, type StoredTensors } from './safetensors.ts';
import { described, firstOf } from './weights.ts';

/** Which tensors of the file were used, and which parameters of the network were set. */
export interface PretrainedReport {
  /** Names of the network's parameters and counters that were set from the file. */
  loaded: string[];
  /** Those among them whose input channels were adapted, for example `3 → 1 channels`. */
  adapted: { name: string; how: string }[];
  /** Names of the parameters that keep their initial values: the front, and a head with another number of classes. */
  fresh: string[];
  /** Names of the file's tensors that were not used. */
  skipped: string[];
}

/**
 * Sets the backbone of a network from published weights: a safetensors file with timm's or torchvision's names.
 *
 * - A head with another number of classes than the file's keeps its initial values.
 * - If the network's image does not have three channels, the first convolution is adapted as in timm: for one channel the weights
 *   are summed over the colours; for more channels the colours are repeated in turn and scaled by 3 / channels.
 *
 * If the file is the one in the cache, its SHA-256 is checked first (`verifyPublished`).
 *
 * @throws {UserError} if its SHA-256 is not the recorded or pinned one, or if tensors are missing, unknown or of another shape or
 *   type; in that case no parameter has changed.
 */
export async function loadPretrained(
  model: Model<Tensor2D | Tensor4D>,
  file: string,
): Promise<PretrainedReport> {
  const { architecture } = model;
  if (file === pretrainedFile(architecture) && existsSync(file)) {
    await verifyPublished(file, {
      repository: architectureOf(architecture).pretrained!.repository,
      architecture,
    });
  }
  const { tensors } = await readSafetensors(file);
  return importPretrained(model, tensors, file);
}

/** Like `loadPretrained`, from tensors that have been read already. `file` is named in errors. @throws {UserError} likewise. */
export function importPretrained(
  model: Model<Tensor2D | Tensor4D>,
  tensors: StoredTensors,
  file?: string,
): PretrainedReport {
  const { head, pretrained } = architectureOf(model.architecture);
  const prefix = model.options.views.length > 0 ? 'model.' : '';
  const { byName, counters } = model.parameters;
  const report: PretrainedReport = { loaded: [], adapted: [], fresh: [], skipped: [] };
  const problems: string[] = [];
  const values = new Map<Parameter, StoredTensorOf<'F32'>>();
  const counted = new Map<string, bigint>();
  const isHead = (name: string) => name === `${head}.weight` || name === `${head}.bias`;
  const first = Array.from(byName.values()).find(
    ({ name, layout }) => layout === 'conv' && name.startsWith(prefix),
  );

  for (const name of tensors.keys()) {
    const own = prefix + name;
    if (counters.has(own)) {
      const stored = tensors.get(name)!;
      if (stored.dtype === 'I64' && stored.shape.length === 0) counted.set(own, stored.data[0]!);
      else problems.push(`${name} is ${described(stored)}, not I64 []`);
      continue;
    }
    const known = byName.has(own) && (!isHead(name) || sameHead());
    if (known) continue;
    const expected = isHead(name) || pretrained?.skipped?.some((start) => name.startsWith(start));
    if (expected) report.skipped.push(name);
    else problems.push(`${name} is unknown`);
  }
  for (const parameter of byName.values()) {
    const { name, layout, variable } = parameter;
    const published = name.startsWith(prefix) ? name.slice(prefix.length) : undefined;
    const stored = published === undefined ? undefined : tensors.get(published);
    if (published === undefined || (isHead(published) && !sameHead())) report.fresh.push(name);
    else if (stored === undefined) problems.push(`${published} is missing`);
    else {
      const shape = pytorchShape(variable.shape, layout);
      const found = asFloat32(stored);
      const adapted =
        found &&
        (sameShape(found.shape, shape)
          ? found
          : parameter === first
            ? withChannels(found, shape)
            : undefined);
      if (adapted === undefined)
        problems.push(`${published} is ${described(stored)}, not F32 [${shape.join(', ')}]`);
      else {
        values.set(parameter, adapted);
        report.loaded.push(name);
        if (adapted !== found)
          report.adapted.push({ name, how: `${found!.shape[1]} → ${shape[1]} channels` });
      }
    }
  }
  if (problems.length > 0) {
    throw new UserError(`is not a file of weights for ${model.architecture}: ${firstOf(problems)}`, {
      ...(file === undefined ? {} : { file }),
      remedy: `take the file of ${pretrained?.repository ?? 'this architecture'}`,
    });
  }
  for (const [name, count] of counted) {
    counters.set(name, count);
    report.loaded.push(name);
  }
  for (const [{ layout, variable }, stored] of values) {
    const tensor = fromPyTorch(stored, layout);
    variable.assign(tensor);
    tensor.dispose();
  }
  return report;

  /** Whether the file's head has as many classes as the network's. */
  function sameHead(): boolean {
    return tensors.get(`${head}.bias`)?.shape[0] === model.options.classes;
  }
}

/** Path where `weights:fetch` stores the published weights of an architecture; undefined if none are published. */
export function pretrainedFile(architecture: string): string | undefined {
  const { pretrained } = architectureOf(architecture);
  return (
    pretrained && join(cacheFolder(), 'weights', ...pretrained.repository.split('/'), 'model.safetensors')
  );
}

const sameShape = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((edge, i) => edge === b[i]);

/** Adapts a filter [out, 3, h, w] to [out, channels, h, w]; undefined if anything other than the channels differs. */
function withChannels(
  { shape, data }: StoredTensorOf<'F32'>,
  wanted: readonly number[],
): StoredTensorOf<'F32'> | undefined {
  const [out, colours, height, width] = shape as [number, number, number, number];
  const channels = wanted[1]!;
  if (colours !== 3 || !sameShape([out, channels, height, width], wanted)) return undefined;
  const pixels = height * width;
  const adapted = new Float32Array(out * channels * pixels);
  const at = (filter: number, colour: number, pixel: number) => data[(filter * 3 + colour) * pixels + pixel]!;
  for (let filter = 0; filter < out; filter++) {
    for (let channel = 0; channel < channels; channel++) {
      for (let pixel = 0; pixel < pixels; pixel++) {
        adapted[(filter * channels + channel) * pixels + pixel] =
          channels === 1
            ? at(filter, 0, pixel) + at(filter, 1, pixel) + at(filter, 2, pixel)
            : (at(filter, channel % 3, pixel) * 3) / channels;
      }
    }
  }
  return { dtype: 'F32', shape: wanted, data: adapted };
}
