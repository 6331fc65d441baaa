// What several commands take, read from the command line.
import { InvalidArgumentError } from 'commander';

/** Whole numbers above 0, separated by commas; nothing: none. */
export function counts(text: string): number[] {
  if (text === '') return [];
  return text.split(',').map((part) => count(part));
}

export function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError('give whole numbers, 1 or more.');
  return value;
}

/** `224`, or `224x256`: height and width. */
export function size(text: string): [height: number, width: number] {
  const [height, width, ...more] = text.split('x').map(count);
  if (more.length > 0) throw new InvalidArgumentError('give one edge, or HEIGHTxWIDTH.');
  return [height!, width ?? height!];
}

/** Words separated by commas. */
export function words(text: string): string[] {
  const list = text.split(',').map((word) => word.trim());
  if (list.includes('')) throw new InvalidArgumentError('give names separated by commas.');
  return list;
}
