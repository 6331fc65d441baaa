// What an augmentation of images is: its fields in a recipe, its draw for a scan or a slice, and what it does on the device.
import type { RandomStream } from '@ct-ensemble/core';
import tf, { type Scalar, type Tensor, type Tensor4D } from '@tensorflow/tfjs';
import { onlyIf } from '@ct-ensemble/engine';
import type { z } from 'zod';

/** Height and width of the slices, in pixels. */
export interface SliceSize {
  height: number;
  width: number;
}

/**
 * One augmentation. `Settings` are its fields as a recipe gives them, `Draw` is what is drawn once for a scan or, with
 * `perSlice`, for a slice.
 */
export interface ImageAugmentation<Settings = unknown, Draw = unknown> {
  /** Names the augmentation to readers of the code. */
  readonly name: string;
  /** Its fields of the recipe's `augmentation`, all of them optional or with a default. */
  readonly fields: z.core.$ZodLooseShape;
  /** The names of its tensors, unlike any other augmentation's. */
  readonly inputs: readonly string[];
  /**
   * Draws. Called for every augmentation, in the order of the registry, so that the stream's order is fixed; one that was
   * added after others takes nothing from the stream where it is off.
   */
  draw(settings: Settings, random: RandomStream): Draw;
  /**
   * The draws of a batch as inputs of the step, one for each of `inputs`; undefined where the augmentation is off.
   *
   * @param draws [batch][draws]: the scan's one draw, or one for every plane
   * @returns tensors [batch, draws, …]
   */
  tensors(
    settings: Settings,
    draws: readonly (readonly Draw[])[],
    size: SliceSize,
  ): Record<string, Tensor> | undefined;
  /**
   * Changes the slices of one scan; inside the captured step.
   *
   * @param image [draws, height, width, planes of a draw], whole grey values 0 … 255, float32
   * @param inputs [draws, …] each
   * @returns the same shape, whole grey values 0 … 255 again
   */
  apply(image: Tensor4D, inputs: Readonly<Record<string, Tensor>>, settings: Settings): Tensor4D;
}

/** Applied to the slices whose draw is not idle; where no draw of the scan is active nothing is computed on CPUs. */
export function whereDrawn(isDrawn: Tensor, image: Tensor4D, f: (image: Tensor4D) => Tensor4D): Tensor4D {
  return onlyIf(tf.any(isDrawn) as Scalar, image, f);
}

/** A value for each draw, [draws], so that it meets images of [draws, height, width, planes]. */
export const perDraw = (values: Tensor) => tf.reshape(values, [-1, 1, 1, 1]);

/** A number of each draw as a tensor [batch, draws]. */
export function tensorOfDraws<Draw>(
  draws: readonly (readonly Draw[])[],
  value: (draw: Draw) => number,
): Tensor {
  return tf.tensor2d(draws.map((row) => row.map(value)));
}

export const int = (value: number) => tf.scalar(value, 'int32');
/** Whole numbers divided, rounded down. */
export const divided = (at: Tensor, by: number) => tf.floorDiv(at, int(by));
