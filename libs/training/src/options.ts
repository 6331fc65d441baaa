// How a member is trained: the part of a recipe that this room reads.

export interface TrainingOptions {
  epochs: number;
  batchSize: number;
  /** Focal loss (Lin et al. 2017) on the cross entropy, no class weights. */
  loss: { name: 'focal'; gamma: number };
  /** Adam (Kingma and Ba 2015) without weight decay. */
  optimizer: { name: 'adam'; beta1: number; beta2: number; epsilon: number };
  /** Steps of the learning rate: `rate` holds from epoch `from` (counted from 0) on. */
  learningRate: readonly { from: number; rate: number }[];
  augmentation: Augmentation;
}

/** Applied in this order, each piece to whole grey values as the libraries named do it. Zero, empty and left out mean: not at all. */
export interface Augmentation {
  /** Rotation by an angle between −rotate and +rotate degrees. */
  rotate: number;
  /**
   * How a rotation reads the slice. `linear` (default): OpenCV's warpAffine, mirrored at the border pixel
   * (BORDER_REFLECT_101); `nearest`: Pillow's rotate, black beyond the border.
   */
  interpolation?: Interpolation | undefined;
  /** Probability of a left-right flip. */
  flipHorizontal: number;
  /** Probabilities of up-down flips, drawn one after the other. */
  flipVertical: readonly number[];
  /** Probability of a 3×3 box blur, OpenCV's. */
  blur: number;
  /** Multiplications of the grey values, each with its probability: albumentations' MultiplicativeNoise. */
  gain: readonly { factor: number; probability: number }[];
  /** Pillow's ImageEnhance.Brightness with a factor drawn between `from` and `to`. */
  brightness?: FactorRange | undefined;
  /** Pillow's ImageEnhance.Contrast, about each slice's own mean. */
  contrast?: FactorRange | undefined;
  /** A draw for every slice; default: one for all slices of a scan. */
  perSlice?: boolean | undefined;
}

export type Interpolation = 'linear' | 'nearest';

export interface FactorRange {
  from: number;
  to: number;
  probability: number;
}

/** The learning rate of an epoch, counted from 0. */
export function learningRateAt(steps: TrainingOptions['learningRate'], epoch: number): number {
  const step = steps.findLast(({ from }) => from <= epoch);
  if (step === undefined) throw new Error(`the learning rate has no step for epoch ${epoch}`);
  return step.rate;
}
