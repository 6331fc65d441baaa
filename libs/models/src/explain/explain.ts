// Why a network answers as it does for one volume: the map of its last features, and each slice's share in the answer.
import { UserError } from '@ct-ensemble/core';
import tf, { type Rank, type Scalar, type Tensor, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';
import type { Place } from '../layers.ts';
import type { Model } from '../registry.ts';
import { toPyTorch } from '../weights/parameters.ts';
import { classActivationMap, type CamMethod, type Planes, type ValueMap } from './cam.ts';
import { sliceMaps, type SliceMaps } from './slice-maps.ts';

export interface ExplainOptions {
  /** Index of the class whose logit is explained. Default: the class with the greatest logit, the first of several. */
  target?: number;
  /** Default: `grad-cam`. */
  method?: CamMethod;
}

/** Each view's slices; `scores` and `maps` have one entry for each slice, in the order of the view. */
export type ViewExplanation = Pick<SliceMaps, 'maps' | 'scores'>;

export interface Explanation {
  /** The network's logits, one for each class; of a segmenter their means over all pixels. */
  logits: number[];
  /** The class that is explained. */
  target: number;
  /** Map of the network's last features, see `classActivationMap`; smaller than the volume's slices. */
  map: ValueMap;
  /** One entry for each view, none for a network without a front. */
  views: ViewExplanation[];
}

/**
 * Explains the logit of a class, before the softmax, for one volume `x` [1, height, width, depth], float32 in [0, 1], in evaluation
 * mode. Works for every network of the registry: the map is that of the place `features`, the slices' maps are those of the
 * front's convolutions (`sliceMaps`). With two views each view's convolution has its own gradient. Behind a front with attention
 * the slices are those after the attention, so that a slice's score has its factor in it; that the factors themselves depend on
 * the slices is left out. Of a segmenter the mean over all pixels of the class's logit is explained.
 *
 * @throws {UserError} if the volume does not fit the network, there is no such class, or the network's file does not say which
 *   are its last features.
 */
export async function explain(
  model: Model<Tensor2D | Tensor4D>,
  x: Tensor4D,
  { target: chosen, method = 'grad-cam' }: ExplainOptions = {},
): Promise<Explanation> {
  if (x.shape[0] !== 1) throw new Error(`explain takes one volume, not ${x.shape[0]}`);
  const kept = new Map<Place, Tensor4D>();
  const observe = (place: Place, value: Tensor4D) => {
    kept.set(place, tf.keep(tf.clone(value)));
    return value;
  };
  const gradients: Tensor4D[] = [];
  try {
    const answer = tf.tidy(() => logitsOf(model.forward(x, { training: false, observe })));
    const logits = [...(await answer.data())];
    answer.dispose();
    const target = chosen ?? logits.indexOf(Math.max(...logits));
    requireClass(target, logits.length);
    requireFeatures(model, kept);
    const places = [...kept.keys()].filter((place) => !place.startsWith('slices'));
    gradients.push(...gradientsAt(model, { x, target, places, kept }));
    const gradientOf = (place: Place) => planesOf(gradients[places.indexOf(place)]!);
    const map = classActivationMap(
      method,
      await planesOf(kept.get('features')!),
      await gradientOf('features'),
    );
    const views: ViewExplanation[] = [];
    for (const view of model.options.views.length === 0 ? [] : [1, 2].slice(0, model.options.views.length)) {
      const encoder = `encoder${view as 1 | 2}` as const;
      const [weight, bias] = ['weight', 'bias'].map((name) =>
        model.parameters.byName.get(`${encoder}.${name}`)!,
      );
      const { maps, scores } = sliceMaps({
        slices: await planesOf(kept.get(`slices${view as 1 | 2}`)!),
        kernel: (await toPyTorch(weight!.variable, 'conv')).data,
        bias: await bias!.variable.data<'float32'>(),
        gradient: await gradientOf(encoder),
      });
      views.push({ maps, scores });
    }
    return { logits, target, map, views };
  } finally {
    tf.dispose([...kept.values(), ...gradients]);
  }
}

/** A volume as libs/data prepares it: grey values 0 … 255, C order [depth, height, width]. */
export interface GreyVolume {
  readonly depth: number;
  readonly height: number;
  readonly width: number;
  readonly data: Uint8Array;
}

/** As `explain`, of a prepared volume. @throws {UserError} likewise. */
export async function explainVolume(
  model: Model<Tensor2D | Tensor4D>,
  { depth, height, width, data }: GreyVolume,
  options: ExplainOptions = {},
): Promise<Explanation> {
  const x = tf.tidy(() => {
    const grey = tf.tensor<Rank.R3>(Float32Array.from(data), [depth, height, width]);
    return tf.mul<Tensor4D>(tf.expandDims(tf.transpose(grey, [1, 2, 0]), 0), 1 / 255);
  });
  try {
    return await explain(model, x, options);
  } finally {
    x.dispose();
  }
}

interface GradientOptions {
  x: Tensor4D;
  target: number;
  places: readonly Place[];
  kept: ReadonlyMap<Place, Tensor4D>;
}

/** Gradients of the class's logit at these places: those of zeros that are added to the values there. */
function gradientsAt(
  model: Model<Tensor2D | Tensor4D>,
  { x, target, places, kept }: GradientOptions,
): Tensor4D[] {
  return tf.tidy(() => {
    const zeros = places.map((place) => tf.zerosLike(kept.get(place)!));
    const logit = (...added: Tensor[]): Scalar => {
      const observe = (place: Place, value: Tensor4D): Tensor4D => {
        const at = places.indexOf(place);
        return at < 0 ? value : tf.add(value, added[at]!);
      };
      const logits = logitsOf(model.forward(x, { training: false, observe }));
      return tf.sum(tf.slice(logits, [0, target], [1, 1]));
    };
    return tf.grads(logit)(zeros) as Tensor4D[];
  });
}

/** [1, classes]; of a segmenter's map the mean over all pixels. */
const logitsOf = (y: Tensor2D | Tensor4D): Tensor2D =>
  y.rank === 2 ? (y as Tensor2D) : tf.mean<Tensor2D>(y as Tensor4D, [1, 2]);

/** [1, height, width, channels] as an array of [channels, height, width]. */
async function planesOf(tensor: Tensor4D): Promise<Planes> {
  const [, height, width, channels] = tensor.shape;
  const first = tf.tidy(() => tf.transpose(tensor, [0, 3, 1, 2]));
  const data = await first.data<'float32'>();
  first.dispose();
  return { channels, height, width, data };
}

function requireClass(target: number, classes: number) {
  if (Number.isInteger(target) && target >= 0 && target < classes) return;
  throw new UserError(`there is no class ${target}`, { remedy: `give a number from 0 to ${classes - 1}` });
}

function requireFeatures({ architecture }: Pick<Model, 'architecture'>, kept: ReadonlyMap<Place, unknown>) {
  if (kept.has('features')) return;
  throw new UserError(`${architecture} does not say which are its last features`, {
    remedy: "put observed('features') after its last convolutional layer, see docs/networks.md",
  });
}
