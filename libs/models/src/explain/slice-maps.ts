// How much each slice of a volume speaks for a class: the gradient behind the front's convolution, divided between the slices.
import type { Planes } from './cam.ts';

export interface SliceMapsOptions {
  /** The slices as the convolution sees them: [depth, height, width]. */
  slices: Planes;
  /** Weights of the 3×3 convolution with stride 1 and padding 1, C order [outputs, depth, 3, 3]. */
  kernel: ArrayLike<number>;
  /** [outputs]. */
  bias: ArrayLike<number>;
  /** Gradient of the class's logit with respect to the output of the ReLU behind the convolution: [outputs, height, width]. */
  gradient: Planes;
}

export interface SliceMaps {
  /** p, what the convolution computes: C order [outputs, height, width]. */
  preActivation: Float64Array;
  /** C order [depth, height, width]. */
  maps: Float64Array;
  /** For each slice the sum of its map. */
  scores: number[];
}

/**
 * With p = conv(x) + b and the gradient g at the output of the ReLU, the map of slice d is Σ over the outputs c of
 * g_c · [p_c > 0] · (what slice d contributes to p_c), and its score is the sum of its map. The scores add up to
 * Σ g_c · [p_c > 0] · (p_c − b_c): nothing is lost or counted twice. They are in units of the logit, to first order.
 * @throws {Error} if the shapes do not fit together.
 */
export function sliceMaps({ slices, kernel, bias, gradient }: SliceMapsOptions): SliceMaps {
  const { channels: depth, height, width } = slices;
  const outputs = bias.length;
  const pixels = height * width;
  const fits =
    kernel.length === outputs * depth * 9 &&
    gradient.channels === outputs &&
    gradient.height === height &&
    gradient.width === width;
  if (!fits) throw new Error('slices, kernel, bias and gradient do not fit together');
  const preActivation = new Float64Array(outputs * pixels);
  const part = new Float64Array(pixels);
  for (let c = 0; c < outputs; c++) {
    const output = preActivation.subarray(c * pixels, (c + 1) * pixels);
    for (let d = 0; d < depth; d++) {
      contribution(part, { slices, kernel, output: c, slice: d });
      for (let p = 0; p < pixels; p++) output[p]! += part[p]!;
    }
    for (let p = 0; p < pixels; p++) output[p]! += bias[c]!;
  }
  const maps = new Float64Array(depth * pixels);
  for (let d = 0; d < depth; d++) {
    const map = maps.subarray(d * pixels, (d + 1) * pixels);
    for (let c = 0; c < outputs; c++) {
      contribution(part, { slices, kernel, output: c, slice: d });
      const from = c * pixels;
      for (let p = 0; p < pixels; p++)
        if (preActivation[from + p]! > 0) map[p]! += gradient.data[from + p]! * part[p]!;
    }
  }
  const scores = Array.from({ length: depth }, (_, d) => {
    let sum = 0;
    for (let p = d * pixels; p < (d + 1) * pixels; p++) sum += maps[p]!;
    return sum;
  });
  return { preActivation, maps, scores };
}

/** The slices in the order of their scores, the greatest first; equal scores in the order of the slices. */
export function rankOf(scores: readonly number[]): number[] {
  return scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]! || a - b);
}

interface ContributionOptions extends Pick<SliceMapsOptions, 'slices' | 'kernel'> {
  output: number;
  slice: number;
}

/** Writes into `out` [height, width] what one slice contributes to one output of the convolution, without the bias. */
function contribution(out: Float64Array, { slices, kernel, output, slice }: ContributionOptions) {
  const { channels: depth, height, width, data } = slices;
  const weights = (output * depth + slice) * 9;
  const from = slice * height * width;
  out.fill(0);
  for (let ky = 0; ky < 3; ky++)
    for (let kx = 0; kx < 3; kx++) {
      const weight = kernel[weights + ky * 3 + kx]!;
      const [dy, dx] = [ky - 1, kx - 1];
      const [left, right] = [Math.max(0, -dx), Math.min(width, width - dx)];
      for (let y = Math.max(0, -dy); y < Math.min(height, height - dy); y++) {
        const row = from + (y + dy) * width + dx;
        for (let x = left; x < right; x++) out[y * width + x]! += weight * data[row + x]!;
      }
    }
}
