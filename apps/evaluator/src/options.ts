// The options that several commands share, each defined once.
import type { EngineKind } from '@ct-ensemble/engine';
import { Option } from 'commander';

/** `what` the device is for; by default all that the command computes. */
export function deviceOption(
  what = 'device to compute on: gpu:0 (the first GPU), cpu:2 (two CPU threads); or auto',
): Option {
  return new Option('--device <device>', what).default('auto');
}

/** `what` the library does; by default it computes. */
export function engineOption(
  what = 'library that computes, TensorFlow or the CPU backend of TensorFlow.js, which is hundreds of times slower',
): Option {
  return new Option('--engine <engine>', what)
    .choices(['tensorflow', 'cpu'] satisfies EngineKind[])
    .default('tensorflow');
}
