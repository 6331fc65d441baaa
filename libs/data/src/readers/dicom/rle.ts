// RLE Lossless (PS3.5, annex G): byte planes, each compressed by PackBits.
import { viewOf } from './dicom-bytes.ts';

/**
 * The samples of one frame of `count` samples of one or two bytes. Throws an Error with the reason unless every segment
 * lies within the frame and holds exactly `count` bytes, up to padding.
 */
export function decodeRle(frame: Uint8Array, count: number, bytesPerSample: 1 | 2): Uint8Array | Uint16Array {
  const starts = segmentStarts(frame, bytesPerSample);
  const samples = bytesPerSample === 1 ? new Uint8Array(count) : new Uint16Array(count);
  for (const [i, start] of starts.entries()) {
    const segment = frame.subarray(start, starts[i + 1] ?? frame.length);
    addPlane(segment, samples, 8 * (bytesPerSample - 1 - i)); // the high bytes come first
  }
  return samples;
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

/** Unpacks a segment, a byte for each sample, and adds the bytes to the samples, shifted left by `shift` bits. */
function addPlane(segment: Uint8Array, samples: Uint8Array | Uint16Array, shift: number) {
  const count = samples.length;
  let at = 0;
  let done = 0;
  while (done < count && at < segment.length) {
    const control = segment[at++]!;
    if (control === 128) continue;
    const literal = control < 128;
    const length = literal ? control + 1 : 257 - control;
    if (at + (literal ? length : 1) > segment.length) break;
    const end = done + length;
    if (end > count) throw new Error(`holds an RLE segment of more than ${count} bytes`);
    if (literal) while (done < end) samples[done++]! |= segment[at++]! << shift;
    else {
      const value = segment[at++]! << shift;
      while (done < end) samples[done++]! |= value;
    }
  }
  if (done < count)
    throw new Error(`holds an RLE segment of ${done} bytes instead of ${count}: it is cut short`);
  if (segment.subarray(at).some((byte) => byte !== 0 && byte !== 128))
    throw new Error(`holds an RLE segment of more than ${count} bytes`);
}
