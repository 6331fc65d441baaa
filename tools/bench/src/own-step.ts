// One member of this project as the benchmark runs it: the very steps that members run, bytes in, weights updated.
import { openEngine } from '@ct-ensemble/engine';
import { buildModel, readSafetensors } from '@ct-ensemble/models';
import { memberOptimizer, predictionStep, trainingStep, volumesTensor } from '@ct-ensemble/training';
import tf, { type Tensor, type Tensor2D } from '@tensorflow/tfjs';
import type { Answer, Settings } from './settings.ts';
import { CLASSES, SEED } from './start-files.ts';

export interface OwnMember {
  /** What computes. */
  library: string;
  /** One step; resolves when its values have arrived. */
  step(): Promise<StepResult>;
  close(): void;
}

/** The loss, or the batch's probabilities, and what convolutions and matrix products computed in. */
export type StepResult = Pick<Answer, 'values' | 'compute'>;

export async function openMember(settings: Settings): Promise<OwnMember> {
  const { architecture, batch, depth, size, threads, tf32, precision, jit, recompute } = settings;
  const engine = await openEngine({ device: { ...settings.device, threads }, tf32 });
  for (const note of engine.notes) console.error(`note: ${note}`);
  const model = buildModel(architecture, { views: [depth], classes: CLASSES, seed: SEED });
  const shape = [batch, depth, size, size];
  const file = await readSafetensors(settings.volumes);
  const bytes = (file.tensors.get('volumes')!.data as Uint8Array).slice(0, tf.util.sizeFromShape(shape));
  const { run, reports } = settings.task === 'train' ? training() : prediction();
  return {
    library: engine.description,
    async step() {
      const volumes = volumesTensor(bytes, shape);
      const output = await run(volumes);
      const values = [...(await output.data())];
      tf.dispose([volumes, output]);
      return { values, compute: reports()[0]?.compute ?? 'float32' };
    },
    close: () => engine.close(),
  };

  function training() {
    const optimizer = memberOptimizer(model, { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }, precision);
    const step = trainingStep({ model, optimizer, gamma: 1.5, recompute, capture: { precision, jit } });
    const labels = Array.from({ length: batch }, (_, i) => i % 2);
    const truth = tf.oneHot(tf.tensor1d(labels, 'int32'), CLASSES, 1, 0, 'float32') as Tensor2D;
    let steps = 0;
    const run = async (volumes: Tensor) => {
      const rates = optimizer.rates(1e-4, ++steps);
      const { loss } = await step({ volumes, truth, rates });
      rates.dispose();
      return loss;
    };
    return { run, reports: () => step.reports };
  }

  function prediction() {
    const step = predictionStep(model, { precision, jit });
    const run = async (volumes: Tensor) => (await step({ volumes })).probabilities;
    return { run, reports: () => step.reports };
  }
}
