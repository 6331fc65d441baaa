// RLE Lossless (PS3.5, annex G): byte planes, each compressed by PackBits.
import { viewOf } from './dicom-bytes.ts';

/**
 * The samples of one frame of `count` samples of one or two bytes. Throws an Error with the reason unless every segment
 * lies within the frame and holds exactly `count` bytes, up to padding.
 */
export function decodeRle(frame: Uint8Array, count: number, bytesPerSample: 1 | 2): Uint8Array | Uint16Array {
  const starts = segmentStarts(frame, bytesPerSample);
  const planes = starts.map((start, i) =>
    unpacked(frame.subarray(start, starts[i + 1] ?? frame.length), count),
  );
  const [high, low] = planes;
  if (low === undefined) return high!;
  return Uint16Array.from(low, (value, i) => high![i]! * 256 + value);
}

function segmentStarts(frame: Uint8Array, segments: number): number[] {
  const view = viewOf(frame);
  const offsets =
    frame.length > 64 ? Array.from({ length: 15 }, (_, i) => view.getUint32(4 + 4 * i, true)) : [];
  const sound =
    offsets.length > 0 &&
    view.getUint32(0, true) === segments &&
    offsets.every((offset, i) =>
      i < segments ? offset >= (i === 0 ? 64 : offsets[i - 1]!) && offset < frame.length : offset === 0,
    );
  if (!sound) throw new Error(`does not hold ${segments} RLE segments`);
  return offsets.slice(0, segments);
}

function unpacked(segment: Uint8Array, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  let at = 0;
  let done = 0;
  while (done < count && at < segment.length) {
    const control = segment[at++]!;
    if (control === 128) continue;
    const literal = control < 128;
    const length = literal ? control + 1 : 257 - control;
    if (at + (literal ? length : 1) > segment.length) break;
    if (done + length > count) throw new Error(`holds an RLE segment of more than ${count} bytes`);
    if (literal) bytes.set(segment.subarray(at, at + length), done);
    else bytes.fill(segment[at]!, done, done + length);
    at += literal ? length : 1;
    done += length;
  }
  if (done < count)
    throw new Error(`holds an RLE segment of ${done} bytes instead of ${count}: it is cut short`);
  if (segment.subarray(at).some((byte) => byte !== 0 && byte !== 128))
    throw new Error(`holds an RLE segment of more than ${count} bytes`);
  return bytes;
}
