// Loads published weights into a new network and reports which tensors were loaded, adapted, skipped, or are new.
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
  /** Views, classes and seed of the new network. */
  network: ModelOptions;
  /** Safetensors file of the published weights. */
  file: string;
  /** Safetensors file to write the network's weights to; none by default. */
  out?: string;
}

/**
 * Builds a network and sets its backbone from published weights; the other parameters are drawn from the seed.
 * @throws {UserError} as `loadPretrained`; in that case nothing is written.
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

/** The report as one line, `966 loaded; skipped: …; new: …`; of long lists the first six names. */
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
