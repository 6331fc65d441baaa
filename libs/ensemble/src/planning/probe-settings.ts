// What a probe measures, and everything its result depends on.
import { createHash } from 'node:crypto';
// eslint-disable-next-line no-restricted-imports -- reads only files of the kernel, not of a user
import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { type Device, type EngineKind, findTensorFlow, TENSORFLOW_VERSION } from '@ct-ensemble/engine';
import { trainingSchema } from '@ct-ensemble/training';
import { z } from 'zod';
import { type EngineSettings, engineSettingsSchema } from '../recipes/engine-settings.ts';

/** Counts changes of what is measured and how; results of other versions are not used. */
const PROBE_VERSION = 1;

const deviceSchema = z.object({
  kind: z.enum(['cpu', 'gpu']),
  index: z.int(),
  threads: z.int().optional(),
  memoryLimit: z.number().optional(),
});

export const probeSettings = z.object({
  architecture: z.string(),
  /** Slices of each view. */
  views: z.array(z.int()),
  height: z.int(),
  width: z.int(),
  classes: z.int(),
  training: trainingSchema,
  engine: z.enum(['tensorflow', 'cpu']),
  engineSettings: engineSettingsSchema.default({}),
  device: deviceSchema,
  /** Members that train on devices of this kind at the same time. */
  atOnce: z.int(),
});

/** One thing to be measured: an architecture with its input and training on a kind of device. */
export interface ProbeSettings {
  architecture: string;
  views: number[];
  height: number;
  width: number;
  classes: number;
  training: z.infer<typeof trainingSchema>;
  engine: EngineKind;
  engineSettings: EngineSettings;
  device: Device;
  atOnce: number;
}

/** Names a result in the cache: a digest over the settings, the versions and the hardware. */
export function probeKey({ device, training, ...settings }: ProbeSettings): string {
  // Neither changes the time or the memory of a step. JSON leaves out what is undefined.
  const deciding = { ...training, epochs: undefined, learningRate: undefined };
  const { kind, threads, memoryLimit } = device;
  const about = {
    version: PROBE_VERSION,
    ...settings,
    training: deciding,
    device: { kind, threads, memoryLimit },
    node: process.version,
    tensorflow: settings.engine === 'tensorflow' ? [TENSORFLOW_VERSION, findTensorFlow()] : null,
    hardware: kind === 'gpu' ? gpuModels() : [cpus()[0]?.model, cpus().length],
  };
  return createHash('sha256').update(JSON.stringify(about)).digest('hex').slice(0, 32);
}

/** Models of the GPUs as NVIDIA's driver lists them. */
function gpuModels(folder = '/proc/driver/nvidia/gpus'): string[] {
  try {
    return readdirSync(folder)
      .sort()
      .map(
        (name) => /^Model:\s*(.*)$/m.exec(readFileSync(`${folder}/${name}/information`, 'utf8'))?.[1] ?? '',
      );
  } catch {
    return [];
  }
}
