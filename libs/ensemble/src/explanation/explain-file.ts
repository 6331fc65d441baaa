// Explains what an ensemble file's members answer for new scans: which slices speak for a class, and where.
import { basename } from 'node:path';
import { UserError } from '@ct-ensemble/core';
import { prepareInMemory, type ScanEntry } from '@ct-ensemble/data';
import { type EngineKind, openEngine } from '@ct-ensemble/engine';
import { type CamMethod, importTensors, readSafetensors } from '@ct-ensemble/models';
import { loadEnsembleFile } from '../ensemble-file/load.ts';
import type { ManifestMember } from '../ensemble-file/manifest.ts';
import { didYouMean } from '../names.ts';
import { preparationNetworks } from '../prediction/preparation-networks.ts';
import { classIndex, type ExplainedScan, explainScan } from './explanation.ts';
import { loadedModels } from './loaded-models.ts';

export interface ExplainFileOptions {
  /** The ensemble file. */
  model: string;
  /** Scans, as `findScans` finds them. */
  scans: readonly ScanEntry[];
  /** Names of members. Default: all. */
  members?: readonly string[];
  /** Default: `grad-cam`. */
  method?: CamMethod;
  /** The class that is explained. Default: the class that the members predict together. */
  className?: string;
  /** Default: `tensorflow`. */
  engine?: EngineKind;
}

/** A scan that could not be prepared. */
export interface UnexplainedScan {
  scan: string;
  failure: string;
}

/**
 * Explains the scans one after the other, on the first GPU or else the CPU. Members have the weights that they have in the ensemble's
 * combination. A scan that cannot be prepared is reported and does not end the others.
 * @throws {UserError} if the file is missing or damaged, or for unknown members or classes.
 */
export async function* explainFile(
  options: ExplainFileOptions,
): AsyncGenerator<ExplainedScan | UnexplainedScan> {
  const { model: path, scans, engine: kind = 'tensorflow', method = 'grad-cam', className } = options;
  const { manifest, entries } = await loadEnsembleFile(path);
  const { classes, combination, preparation } = manifest;
  const target = className === undefined ? undefined : classIndex(className, classes);
  const members = chosen(manifest.members, { wanted: options.members, file: path });
  const weightOf = (name: string) =>
    combination.weights?.[manifest.members.findIndex((member) => member.name === name)] ?? 1;
  const engine = await openEngine({ engine: kind });
  const models = loadedModels<ManifestMember>({
    classes: classes.length,
    viewsOf: ({ views }) => views,
    async load({ name, weights }, model) {
      const { tensors } = await readSafetensors(entries.get(weights)!);
      importTensors(model.parameters, tensors, `${path} (${name})`);
    },
  });
  try {
    const networks = await preparationNetworks(preparation, {
      file: path,
      bytesOf: (name) => entries.get(name)!,
    });
    for (const scan of scans) {
      const prepared = await prepareInMemory(scan, { preparations: preparation.volumes, networks });
      if (prepared.failure !== null) {
        yield { scan: scan.key, failure: prepared.failure };
        continue;
      }
      const fileOf = (slice: number) => (scan.format === 'images' ? basename(scan.slices[slice]!) : null);
      const explained = await explainScan({
        scan: { key: scan.key, split: null, label: null, fileOf },
        inputs: members.map(({ name, volume }) => ({
          member: name,
          trainedOn: null,
          volume: prepared.volumes[volume]!,
          sources: prepared.sources[volume]!,
          weight: weightOf(name),
        })),
        modelOf: (name) => models.of(members.find((member) => member.name === name)!),
        classes,
        target,
        method,
      });
      yield {
        ...explained,
        findings: prepared.findings.map(({ path, message }) => `${scan.key}: ${path}: ${message}`),
      };
    }
  } finally {
    models.dispose();
    engine.close();
  }
}

function chosen(
  members: readonly ManifestMember[],
  { wanted, file }: { wanted: readonly string[] | undefined; file: string },
): readonly ManifestMember[] {
  if (wanted === undefined) return members;
  const names = members.map(({ name }) => name);
  const unknown = wanted.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new UserError(`there is no member ${unknown}${didYouMean(unknown, names)}`, {
      file,
      remedy: `choose among ${names.join(', ')}`,
    });
  return members.filter(({ name }) => wanted.includes(name));
}
