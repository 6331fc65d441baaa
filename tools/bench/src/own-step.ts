// One member of this project as the benchmark runs it: with the same captured steps that members of an ensemble run.
import { capture, type CaptureOptions, openEngine, type Optimizer } from '@ct-ensemble/engine';
import { architectureOf, loadWeights, type Model, readSafetensors } from '@ct-ensemble/models';
import { memberOptimizer, predictionStep, trainingStep, volumesTensor } from '@ct-ensemble/training';
import tf, { type Scalar, type Tensor, type Tensor1D, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';
import type { Answer, Settings } from './settings.ts';
import { CLASSES, networkOf } from './start-files.ts';

export interface OwnMember {
  /** Library, version and device. */
  library: string;
  /** Does one step; resolves when its values have been read from the device. */
  step(): Promise<StepResult>;
  close(): void;
}

/** The loss or the batch's probabilities, and the number type of convolutions and matrix products. */
export type StepResult = Pick<Answer, 'values' | 'compute'>;

const adam = { name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

/** Opens an engine in this thread and builds the member from the settings and the files that they name. */
export async function openMember(settings: Settings): Promise<OwnMember> {
  const { batch, depth, size, threads, tf32, precision, jit, recompute } = settings;
  const engine = await openEngine({ device: { ...settings.device, threads }, tf32 });
  for (const note of engine.notes) console.error(`note: ${note}`);
  const network = networkOf(settings);
  await loadWeights(network.parameters, settings.weights);
  const model = network as Model;
  const shape = [batch, depth, size, size];
  const file = await readSafetensors(settings.volumes);
  const bytes = (file.tensors.get('volumes')!.data as Uint8Array).slice(0, tf.util.sizeFromShape(shape));
  const isMap = architectureOf(settings.architecture).output === 'map';
  const { run, reports } = isMap ? segmentation() : settings.task === 'train' ? training() : prediction();
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
    const optimizer = memberOptimizer(model, { optimizer: adam, precision });
    const step = trainingStep({
      model,
      optimizer,
      loss: { name: 'focal', gamma: 1.5 },
      recompute,
      capture: { precision, jit },
    });
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

  function segmentation() {
    const optimizer = memberOptimizer(model, { optimizer: adam, precision });
    const step = segmentationStep({ model: network, optimizer, capture: { precision, jit } });
    let steps = 0;
    const run = async (volumes: Tensor) => {
      const rates = optimizer.rates(1e-4, ++steps);
      const { loss } = await step({ volumes, rates });
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

/** A training step of a segmenter. The target, 1 where the image's mean is above 0.5, can be computed by both sides. */
function segmentationStep(options: {
  model: ReturnType<typeof networkOf>;
  optimizer: Optimizer;
  capture: CaptureOptions;
}) {
  const { model, optimizer } = options;
  const variables = model.parameters.trainable().map(({ variable }) => variable);
  return capture(({ volumes, rates }: { volumes: Tensor; rates: Tensor1D }) => {
    const x: Tensor4D = tf.mul(tf.cast(tf.transpose(volumes, [0, 2, 3, 1]), 'float32'), 1 / 255);
    const target = tf.cast(tf.greater(tf.mean(x, 3, true), 0.5), 'float32');
    const { value: loss, grads } = tf.variableGrads(
      () => tf.losses.sigmoidCrossEntropy(target, model.forward(x, { training: true }) as Tensor) as Scalar,
      variables,
    );
    optimizer.update(grads, rates);
    return { loss };
  }, options.capture);
}
