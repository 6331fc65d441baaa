// Class activation maps: where the features of a layer speak for a class, from the features and the gradient of the class's logit.

/** A stack of images, C order [channels, height, width]. */
export interface Planes {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly data: ArrayLike<number>;
}

/** An image of one value a pixel, C order [height, width]. */
export interface ValueMap {
  readonly height: number;
  readonly width: number;
  readonly data: Float64Array;
}

/** The methods by their names on the command line. */
export const CAM_METHODS = ['grad-cam', 'hires-cam', 'layer-cam'] as const;

export type CamMethod = (typeof CAM_METHODS)[number];

/**
 * The map of a layer with activations A and the gradient G of the class's logit (before the softmax) with respect to them, both
 * [channels, height, width]. At pixel p, summed over the channels k:
 *
 * - `grad-cam` (Selvaraju et al., ICCV 2017): mean over all pixels of G_k, times A_k(p);
 * - `hires-cam` (Draelos and Carin, 2020): G_k(p) · A_k(p);
 * - `layer-cam` (Jiang et al., IEEE TIP 2021): max(G_k(p), 0) · A_k(p).
 *
 * The map keeps its negative values; `shownMap` is what is drawn.
 * @throws {Error} if A and G have different shapes.
 */
export function classActivationMap(method: CamMethod, activations: Planes, gradients: Planes): ValueMap {
  const { channels, height, width, data: a } = activations;
  const { data: g } = gradients;
  const isSame = gradients.channels === channels && gradients.height === height && gradients.width === width;
  if (!isSame) throw new Error('activations and gradients have different shapes');
  const pixels = height * width;
  const map = new Float64Array(pixels);
  for (let k = 0; k < channels; k++) {
    const from = k * pixels;
    if (method === 'grad-cam') {
      let sum = 0;
      for (let p = 0; p < pixels; p++) sum += g[from + p]!;
      for (let p = 0; p < pixels; p++) map[p]! += (sum / pixels) * a[from + p]!;
    } else {
      for (let p = 0; p < pixels; p++) {
        const weight = method === 'layer-cam' ? Math.max(g[from + p]!, 0) : g[from + p]!;
        map[p]! += weight * a[from + p]!;
      }
    }
  }
  return { height, width, data: map };
}

/** The map as it is drawn: negative values are 0, the others are divided by the greatest. A map without positive values is 0. */
export function shownMap({ height, width, data }: ValueMap): ValueMap {
  const greatest = data.reduce((most, value) => Math.max(most, value), 0);
  const scale = greatest > 0 ? 1 / greatest : 0;
  return { height, width, data: data.map((value) => Math.max(value, 0) * scale) };
}
