// The contact sheet of one scan: its slices, which of them were kept and used, and the volumes made from them.
import {
  masksOf,
  nearestIndices,
  openSlices,
  readSliceFiles,
  tileImage,
  viewsOf,
  withBorder,
  type ContactSheet,
  type GreyImage,
  type Preparation,
  type PreparationNetworks,
  type ScanEntry,
  type ValuesChoice,
  type SheetSection,
  type StoreRecord,
  type Tile,
  type Volume,
} from '@ct-ensemble/data';

/** Greatest number of tiles in a section; more slices are sampled evenly. */
const MOST_TILES = 80;

/** Number of slices that are segmented at once. */
const CHUNK = 16;

export interface SheetVolume {
  preparation: Preparation;
  record: StoreRecord;
  volume: Volume;
  /** Names of the members that train on it. */
  members: readonly string[];
}

export interface ScanSheetOptions {
  /** Null if the class is not known. */
  className: string | null;
  /** At least one volume. */
  volumes: readonly SheetVolume[];
  segmenter: PreparationNetworks['segmenter'];
  /** What the numbers in the files are; undefined: decided from them. */
  values?: ValuesChoice | undefined;
}

/** The sheet, and for each size (`512 × 512`) the number of shown slices that have it. */
export async function scanSheet(
  scan: ScanEntry,
  { className, volumes, segmenter, values }: ScanSheetOptions,
): Promise<{ sheet: ContactSheet; sizes: Map<string, number> }> {
  const { record } = volumes[0]!;
  const mask = volumes.map(({ preparation }) => preparation.mask).find((border) => border) ?? null;
  const source = await openSlices(scan, await readSliceFiles(scan.slices), { values });
  const [dropped, used] = [new Set(record.dropped), new Set(record.sources)];
  const tiles: Tile[] = [];
  const sizes = new Map<string, number>();
  const shown = evenly(source.count);
  for (let from = 0; from < shown.length; from += CHUNK) {
    const chunk = shown.slice(from, from + CHUNK);
    const images = await Promise.all(chunk.map((position) => decoded(source, position)));
    const whole = images.filter((image) => image !== null);
    const masks = mask ? (await masksOf(whole, segmenter)).map((lung) => withBorder(lung, mask)) : [];
    for (const [k, image] of images.entries()) {
      const position = chunk[k]!;
      if (image !== null) {
        const size = `${image.width} × ${image.height}`;
        sizes.set(size, (sizes.get(size) ?? 0) + 1);
      }
      tiles.push({
        label: String(position),
        state: image === null ? 'unreadable' : dropped.has(position) ? 'dropped' : 'kept',
        image: image && tileImage(image),
        mask: (image && masks.shift()) ?? null,
        isMarked: used.has(position),
      });
    }
  }
  const kept = record.slices - dropped.size;
  const unread = source.count - record.slices;
  const counts = [
    `${source.count} slices`,
    `${kept} kept`,
    `${dropped.size} dropped`,
    ...(unread > 0 ? [`${unread} unreadable`] : []),
    sizesInWords([...sizes.keys()]),
  ];
  const legend: ContactSheet['legend'] = [
    { colour: 'kept', text: 'kept' },
    { colour: 'dropped', text: 'dropped: shows no lung' },
    ...(unread > 0 ? [{ colour: 'unreadable', text: 'cannot be decoded' } as const] : []),
    { colour: 'used', text: 'in the volume' },
    ...(mask
      ? [{ colour: 'outline', text: `lung mask, by ${segmenter ? 'a network' : 'threshold'}` } as const]
      : []),
  ];
  const sections = [
    { title: `slices by position, the first is 0${partOf(shown.length, source.count)}`, tiles },
    ...volumes.flatMap((volume) => volumeSections(volume, volumes.length > 1)),
  ];
  return {
    sheet: {
      lines: [`${scan.key}  ${className ?? 'no label'}`, counts.join(', ')],
      legend,
      sections,
    },
    sizes,
  };
}

/** The volume as the networks see it, one section for each view. */
function volumeSections(
  { preparation, record, volume, members }: SheetVolume,
  isOneOfMany: boolean,
): SheetSection[] {
  const { height, width, data } = volume;
  const views = viewsOf(preparation);
  const { mask = null, equalize = false } = preparation;
  const made = [
    ...(mask ? [`masked, dilated by ${mask.dilate}`] : []),
    ...(equalize ? ['equalised'] : []),
    ...(isOneOfMany ? [`for ${members.join(', ')}`] : []),
  ];
  return views.map((depth, view) => {
    const first = views.slice(0, view).reduce((sum, slices) => sum + slices, 0);
    const shown = evenly(depth);
    const name = views.length === 1 ? 'volume' : `volume, ${view === 0 ? 'first' : 'second'} view`;
    const about = [`${name}: ${depth} slices of ${width} × ${height}${partOf(shown.length, depth)}`, ...made];
    const tiles = shown.map((k): Tile => {
      const z = first + k;
      const slice = { height, width, data: data.subarray(z * height * width, (z + 1) * height * width) };
      return { label: String(record.sources[z]), state: 'used', image: tileImage(slice) };
    });
    return { title: about.join(', '), tiles };
  });
}

async function decoded(source: Awaited<ReturnType<typeof openSlices>>, slice: number) {
  try {
    return (await source.decode(slice)).image satisfies GreyImage;
  } catch {
    return null; // the reason is among the findings
  }
}

/** Up to three sizes, or else the range of widths and heights. */
function sizesInWords(sizes: readonly string[]): string {
  if (sizes.length <= 3) return sizes.join(', ');
  const range = (values: readonly number[]) => `${Math.min(...values)} to ${Math.max(...values)}`;
  const [widths, heights] = [0, 1].map((axis) => sizes.map((size) => Number(size.split(' × ')[axis])));
  return `${range(widths!)} × ${range(heights!)}, ${sizes.length} sizes`;
}

function evenly(count: number): number[] {
  return nearestIndices(count, Math.min(count, MOST_TILES));
}

function partOf(shown: number, count: number) {
  return shown < count ? `, ${shown} of ${count} shown` : '';
}
