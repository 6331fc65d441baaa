// The images of one scan, and what their values are: 8-bit grey values, or 16-bit values that may be Hounsfield units.
import { messageOf, UserError } from '@ct-ensemble/core';
import { type GreyImage, greyOfHU, type ScanFinding } from '../../scan.ts';
import { decide, ValueCounts, windowed, type Decision, type ValuesChoice } from '../values.ts';
import { decodeSlice, decodeValues, isPng16, type DecodedSlice } from './slices.ts';

export interface ImageScan {
  findings: ScanFinding[];
  /** `decoded`: what another thread has decoded of these bytes as 8-bit grey without a loss, if it has. */
  decode(bytes: Uint8Array, decoded?: () => GreyImage | null): Promise<DecodedSlice>;
}

/**
 * How to decode the images of a scan. Only if some are PNGs of 16 bits, these are decoded once beforehand and `decide`
 * says what their values are; 8-bit images are grey values, unless `choice` names another window.
 * @throws {UserError} naming the first file, if it is not sure what 16-bit values are and `choice` is not given.
 */
export async function openImages(
  files: readonly { path: string; bytes: Uint8Array | null }[],
  choice?: ValuesChoice,
): Promise<ImageScan> {
  const wide = files.filter(({ bytes }) => bytes !== null && isPng16(bytes));
  const decision = wide.length > 0 ? await decisionOf(wide, choice) : null;
  const tables = new Map<number, Uint8Array>();
  const tableOf = (white: 255 | 65535, make: () => Decision) => {
    const known = tables.get(white) ?? greyTable(white, make());
    tables.set(white, known);
    return known;
  };
  const isPlain = (bytes: Uint8Array) =>
    isPng16(bytes)
      ? decision!.reading.kind === 'grey' &&
        decision!.reading.white === 65535 &&
        choice?.startsWith('window') !== true
      : choice === undefined || choice === 'grey';
  return {
    findings: decision?.findings ?? [],
    async decode(bytes, decoded) {
      if (isPlain(bytes)) {
        const image = decoded?.() ?? null;
        return image === null ? decodeSlice(bytes) : { image, loss: null };
      }
      const { height, width, values } = await decodeValues(bytes);
      const table = isPng16(bytes) ? tableOf(65535, () => decision!) : tableOf(255, () => narrow(choice!));
      return {
        image: { height, width, data: Uint8Array.from(values, (value) => table[value]!) },
        loss: null,
      };
    },
  };
}

async function decisionOf(
  files: readonly { path: string; bytes: Uint8Array | null }[],
  choice: ValuesChoice | undefined,
): Promise<Decision> {
  const counts = new ValueCounts();
  for (const { bytes } of files)
    try {
      counts.add((await decodeValues(bytes!)).values);
    } catch {
      // `decode` reports it.
    }
  try {
    return decide(counts, { choice, fullScale: 65535 });
  } catch (error) {
    const { problem = messageOf(error), remedy } = error as Partial<UserError>;
    throw new UserError(`in 16-bit PNG files ${problem}`, {
      file: files[0]!.path,
      ...(remedy !== undefined && { remedy }),
    });
  }
}

/** 8-bit images of a scan with `--values`. */
function narrow(choice: ValuesChoice): Decision {
  if (choice.startsWith('hu')) throw new Error(`is an image of 8 bits, which cannot hold --values ${choice}`);
  return decide(new ValueCounts(), { choice, fullScale: 255 });
}

/** [white + 1], the project's grey value of each stored value. */
function greyTable(white: number, { reading, padding }: Decision): Uint8Array {
  return Uint8Array.from({ length: white + 1 }, (_, value) => {
    if (value === padding) return greyOfHU(-1024);
    if (reading.kind === 'hu') return greyOfHU(value - reading.offset);
    if (reading.window !== null) return greyOfHU(windowed(value, reading));
    return Math.round(Math.min(255, (value / reading.white) * 255));
  });
}
