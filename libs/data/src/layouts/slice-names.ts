// The order of the image files of a scan, from their names: which of the numbers in the names counts the slices, which
// files are copies of others, and which are masks of others.
import { compareNames } from './listing.ts';
import { masksAmong } from './masks.ts';
import { addToGroup } from '../lists.ts';

export interface NamedSlice {
  file: string;
  /** Its number; null if the order follows from several numbers of the name. */
  number: number | null;
}

export interface SliceNames {
  /** In the order of their numbers; equal numbers in the order of the names, a copy behind its original. */
  slices: NamedSlice[];
  /** Files that lie beside the file they are the mask of (`12_mask.png` beside `12.png`); they are no slices. */
  masks: string[];
  /** Slices whose names are built otherwise than most. */
  unlike: string[];
  /** Whether more than one number of the names is needed to tell the slices apart. */
  hasSeveralNumbers: boolean;
}

/** A slice needs a number in its name. */
const IMAGE = /^(.*\d.*)\.(?:jpe?g|png)$/i;

/** What file managers add to the name of a copy: `12 (1)`, `12(1)`, `12 - Copy (2)`, `12 copy 2`. */
const COPY = /^(.*?)(?: ?\(\d+\)|(?: -)? (?:copy|kopie|copie|copia)(?: \(?\d+\)?)?|~\d+)$/i;

/** What comes before the name in `Copy of 12`. */
const COPY_OF = /^(?:copy of|kopie von|copie de|copia de) (.*)$/i;

const MASK = /^(.*?)[_\-. ]?(?:masks?|seg|segmentation|labels?|gt|roi)$/i;

/** Whether a file is a slice by its name, `K.jpg` or `K.png`. */
export const isSliceName = (file: string) => IMAGE.test(file);

/**
 * The slices among the files of a scan. In names that differ only in their numbers, the number that varies most counts
 * the slices (the last one of several that vary equally); `12.5` is one number where both its parts vary. In other names
 * the last number counts.
 */
export function orderSliceNames(files: readonly string[]): SliceNames {
  const images = files.flatMap((file) => {
    const stem = IMAGE.exec(file)?.[1];
    return stem === undefined ? [] : [{ file, stem }];
  });
  const stems = new Set(images.map(({ stem }) => stem));
  const baseOf = (pattern: RegExp, stem: string) => {
    const base = pattern.exec(stem)?.[1];
    return base !== undefined && base !== stem && stems.has(base) ? base : undefined;
  };
  const named = masksAmong([...stems]);
  const masks = images.filter(({ stem }) => named.has(stem) || baseOf(MASK, stem) !== undefined);
  const originalOf = (stem: string) => baseOf(COPY, stem) ?? baseOf(COPY_OF, stem);
  const copies = images.filter(({ stem }) => originalOf(stem) !== undefined);
  const others = new Set([...masks, ...copies]);
  const originals = images.filter((image) => !others.has(image));
  const { slices, unlike, hasSeveralNumbers } = orderByNumbers(originals);
  const copiesOf = new Map<string, string[]>();
  for (const { file, stem } of copies) {
    const base = originalOf(stem)!;
    copiesOf.set(base, [...(copiesOf.get(base) ?? []), file].sort(compareNames));
  }
  const ordered = slices.flatMap(({ file, stem, number }) => {
    const behind = copiesOf.get(stem) ?? [];
    copiesOf.delete(stem); // of 12.jpg and 12.png the first has the copies behind it
    return [file, ...behind].map((each): NamedSlice => ({ file: each, number }));
  });
  return { slices: ordered, masks: masks.map(({ file }) => file), unlike, hasSeveralNumbers };
}

interface Image {
  file: string;
  stem: string;
}

function orderByNumbers(images: readonly Image[]) {
  const groups = new Map<string, Image[]>();
  for (const image of images) {
    const skeleton = skeletonOf(image.stem);
    addToGroup(groups, skeleton, image);
  }
  const [most = []] = [...groups.values()].sort((a, b) => b.length - a.length);
  const areAlike = most.length > 1 && most.length >= images.length / 2;
  const likeMost = areAlike ? most : [];
  const alike = new Set(likeMost);
  const unlike = images.filter((image) => !alike.has(image));
  const counted = numbersOf(likeMost);
  const keyed = [
    ...likeMost.map((image, i) => ({ ...image, key: counted.keys[i]! })),
    ...unlike.map((image) => ({ ...image, key: [lastNumber(image.stem)] })),
  ];
  keyed.sort((a, b) => compareKeys(a.key, b.key) || compareNames(a.file, b.file));
  return {
    slices: keyed.map(({ file, stem, key }) => ({ file, stem, number: key.length === 1 ? key[0]! : null })),
    unlike: areAlike ? unlike.map(({ file }) => file) : [],
    hasSeveralNumbers: counted.hasSeveralNumbers,
  };
}

/** The name without its numbers and without minus signs before them. */
const skeletonOf = (stem: string) =>
  stem
    .toLowerCase()
    .split(/\d+/)
    .map((text) => text.replace(/-$/, ''))
    .join('0');

const lastNumber = (stem: string) => Number(/(\d+)\D*$/.exec(stem)![1]);

/** Of names with one skeleton: for each the numbers that give the order, the most significant first. */
function numbersOf(images: readonly Image[]): { keys: number[][]; hasSeveralNumbers: boolean } {
  const fields = varyingFields(images.map(({ stem }) => stem.split(/(\d+)/)));
  const distinct = fields.map((values) => new Set(values).size);
  const best = distinct.lastIndexOf(Math.max(...distinct));
  if (best < 0) return { keys: images.map(({ stem }) => [lastNumber(stem)]), hasSeveralNumbers: false };
  const names = new Set(images.map(({ stem }) => stem)).size;
  if (distinct[best]! >= names || fields.length === 1)
    return { keys: images.map((_, i) => [fields[best]![i]!]), hasSeveralNumbers: false };
  const others = fields.filter((_, field) => field !== best);
  return {
    keys: images.map((_, i) => [...others, fields[best]!].map((values) => values[i]!)),
    hasSeveralNumbers: true,
  };
}

/** The numbers that are not the same in all names; each an array with the number of every name. */
function varyingFields(names: readonly string[][]): number[][] {
  const count = Math.max(0, ...names.map((parts) => (parts.length - 1) / 2));
  const textOf = (field: number) => names.map((parts) => parts[2 * field + 1]!);
  const varies = (field: number) => new Set(textOf(field)).size > 1;
  const fields: number[][] = [];
  for (let field = 0; field < count; field++) {
    const negative = areSigns(
      names.map((parts) => parts[2 * field]!),
      field === 0,
    );
    const isBetween = (mark: string) => names.every((parts) => parts[2 * field + 2] === mark);
    const isDecimal =
      field + 1 < count &&
      (isBetween('.') || isBetween(',')) &&
      names.every((parts) => field === 0 || !['.', ','].includes(parts[2 * field]!)) &&
      varies(field) &&
      varies(field + 1);
    const whole = textOf(field);
    const decimals = isDecimal ? textOf(field + 1).map((digits, i) => `${whole[i]!}.${digits}`) : whole;
    // 12.1 and 12.10 are equal as decimals: then the two parts are numbers of their own.
    const isOneNumber = isDecimal && new Set(decimals.map(Number)).size === new Set(decimals).size;
    const values = (isOneNumber ? decimals : whole).map((text, i) => (negative[i]! ? -1 : 1) * Number(text));
    if (new Set(values).size > 1) fields.push(values);
    if (isOneNumber) field++;
  }
  return fields;
}

/**
 * Which of the texts before a number end with a minus sign. A minus that stands before every number is a hyphen, unless
 * another separator comes before it, or the name begins with it.
 */
function areSigns(before: readonly string[], atStart: boolean): boolean[] {
  const minus = before.map((text) => text.endsWith('-'));
  const isSign = (text: string) => (atStart && text === '-') || /[_ =(]-$/.test(text);
  return minus.every(Boolean) && !before.every(isSign) ? minus.map(() => false) : minus;
}

function compareKeys(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
