// Parsers of command-line options that several commands have.
import type { Device } from '@ct-ensemble/engine';
import { InvalidArgumentError } from 'commander';

/** Slices of each view: `32,16`. The empty text means no views. @throws {InvalidArgumentError} for more than two. */
export function views(text: string): number[] {
  const slices = text === '' ? [] : text.split(',').map(count);
  if (slices.length > 2) throw new InvalidArgumentError('a front takes one or two views.');
  return slices;
}

/** A whole number above 0. @throws {InvalidArgumentError} for anything else. */
export function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError('give whole numbers, 1 or more.');
  return value;
}

/** Height and width in pixels: `224`, or `224x256`. @throws {InvalidArgumentError} for anything else. */
export function size(text: string): [height: number, width: number] {
  const [height, width, ...more] = text.split('x').map(count);
  if (more.length > 0) throw new InvalidArgumentError('give one edge, or HEIGHTxWIDTH.');
  return [height!, width ?? height!];
}

/** Texts separated by commas. @throws {InvalidArgumentError} if one is empty. */
export function words(text: string): string[] {
  const list = text.split(',').map((word) => word.trim());
  if (list.includes('')) throw new InvalidArgumentError('give names separated by commas.');
  return list;
}

/** `cpu`, `gpu:0`, `gpu:1`, …. @throws {InvalidArgumentError} for anything else. */
export function device(text: string): Device {
  const match = /^(?:cpu|gpu:(\d+))$/.exec(text);
  if (match === null) throw new InvalidArgumentError('give cpu or gpu:0.');
  return match[1] === undefined ? { kind: 'cpu', index: 0 } : { kind: 'gpu', index: Number(match[1]) };
}
