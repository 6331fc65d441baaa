// Options that commands of several programs share, each defined once, and the parsers of option values.
import { messageOf } from '@ct-ensemble/core';
import { parseValues, SCAN_DEADLINE, type ValuesChoice } from '@ct-ensemble/data';
import type { EngineKind } from '@ct-ensemble/engine';
import { InvalidArgumentError, Option } from 'commander';

/** `what` the device is for. */
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

/** What the numbers in the scans' files are, where the files do not say so; `usual` says what is done by default. */
export function valuesOption(usual = 'decided for each scan from its numbers'): Option {
  return new Option(
    '--values <values>',
    `what the numbers in the files of all scans are: hu, hu+1024, hu+32768 (Hounsfield units plus an offset), grey (black −1150 HU, white 350 HU) or window:LOW,HIGH (grey, black LOW HU, white HIGH HU) (default: ${usual})`,
  ).argParser(values);
}

function values(text: string): ValuesChoice {
  try {
    return parseValues(text);
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error));
  }
}

/** Seconds after which the preparation of one scan is given up. */
export function scanDeadlineOption(): Option {
  return new Option(
    '--scan-deadline <seconds>',
    'time after which the preparation of a scan is stopped and the scan counts as failed; without effect if a network takes part in the preparation',
  )
    .argParser(positive)
    .default(SCAN_DEADLINE);
}

/** A whole number from 0 to 4294967295. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < 0 || value > 0xffffffff)
    throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

/** Parses whole numbers in digits, from `least` to `most`. */
export function wholeFrom(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    return value;
  };
}

/** A number above zero. */
export function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value)))
    throw new InvalidArgumentError('It must be a number above zero.');
  return value;
}
