// What published weights become in a network: loaded, adapted, skipped, new.
import { openEngine } from '@ct-ensemble/engine';
import {
  buildNetwork,
  loadPretrained,
  type ModelOptions,
  type PretrainedReport,
  saveWeights,
} from '@ct-ensemble/models';

export interface AdaptOptions {
  architecture: string;
  network: ModelOptions;
  /** Published weights. */
  file: string;
  /** Where the network's weights go, if anywhere. */
  out?: string;
}

/**
 * Reads published weights into a new network; what they do not bring comes from the seed.
 * @throws {UserError} as loadPretrained does.
 */
export async function adapt({ architecture, network, file, out }: AdaptOptions): Promise<PretrainedReport> {
  const engine = await openEngine({ engine: 'cpu' });
  try {
    const model = buildNetwork(architecture, network);
    const report = await loadPretrained(model, file);
    if (out !== undefined) await saveWeights(model.parameters, out);
    return report;
  } finally {
    engine.close();
  }
}

/** `966 loaded; skipped: …; new: …` */
export function reportText({ loaded, adapted, skipped, fresh }: PretrainedReport): string {
  const list = (what: string, names: readonly string[]) =>
    names.length === 0
      ? []
      : [`${what}: ${names.slice(0, 6).join(', ')}${names.length > 6 ? `, … (${names.length})` : ''}`];
  return [
    `${loaded.length} loaded`,
    ...list(
      'adapted',
      adapted.map(({ name, how }) => `${name} (${how})`),
    ),
    ...list('skipped', skipped),
    ...list('new', fresh),
  ].join('; ');
}
