// How many scans a JPEG file has. In a progressive JPEG each scan (in the sense of the JPEG standard, ITU-T T.81) refines
// all pixels again, and an empty one takes a few bytes: a file of 350 kB can keep a decoder busy for hours.

/**
 * A JPEG with more scans than this is not decoded. Encoders write 6 to 10. libjpeg-turbo advises programs to limit the
 * number (https://libjpeg-turbo.org/pmwiki/uploads/About/TwoIssueswiththeJPEGStandard.pdf); GDAL has the same limit.
 */
export const MAX_JPEG_SCANS = 100;

/** Throws an Error with the reason if the bytes are a JPEG of more than `MAX_JPEG_SCANS` scans. */
export function requireFewJpegScans(bytes: Uint8Array): void {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return;
  // Every FF within image data is followed by 00 or a restart marker, so each FF DA outside a header segment starts a scan.
  let scans = 0;
  for (let at = 2; at + 1 < bytes.length;) {
    at = bytes.indexOf(0xff, at);
    if (at < 0 || at + 1 >= bytes.length) return;
    const marker = bytes[at + 1]!;
    if (marker === 0xff) at += 1;
    else if (marker === 0x00 || (marker >= 0xd0 && marker <= 0xd8) || marker === 0x01) at += 2;
    else if (marker === 0xd9) return;
    else {
      if (marker === 0xda && ++scans > MAX_JPEG_SCANS)
        throw new Error(`the JPEG has more than ${MAX_JPEG_SCANS} scans; it would take too long to decode`);
      at += 2 + Math.max(2, ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0));
    }
  }
}
