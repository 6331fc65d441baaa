// Progressive grey JPEGs with any number of scans, built by hand after ITU-T T.81: all samples are 128.

/** As many blocks of 8 × 8 as one code of a scan skips. */
const RUN = 2 ** 14;

/**
 * The number of blocks of 8 × 8 must be a multiple of 2^14. All scans but the first refine nothing, in a few bytes. The
 * file is valid if `scans` is at most 127: each coefficient can be sent once and refined once.
 */
export function progressiveJpeg(options: { width: number; height: number; scans: number }): Buffer {
  const { width, height, scans } = options;
  const blocks = (width * height) / 64;
  if (blocks % RUN !== 0) throw new Error(`${blocks} blocks are no multiple of ${RUN}`);
  const quantisation = segment(0xdb, Buffer.concat([Buffer.of(0), Buffer.alloc(64, 1)]));
  const frame = segment(0xc2, Buffer.of(8, ...word(height), ...word(width), 1, 1, 0x11, 0));
  // Each Huffman table has one code, `0`: the difference 0 for DC, the run of 2^14 + 14 bits of blocks (EOB14) for AC.
  const dc = Buffer.concat([scanHeader({ coefficient: 0, high: 0, low: 0 }), bits('0'.repeat(blocks))]);
  const nothing = bits(`0${'0'.repeat(14)}`.repeat(blocks / RUN));
  const refinements = Array.from({ length: scans - 1 }, (_, i) => {
    const high = Math.floor(i / 63) % 2; // first all coefficients without their last bit, then the last bits
    return Buffer.concat([scanHeader({ coefficient: 1 + (i % 63), high, low: 1 - high }), nothing]);
  });
  return Buffer.concat([
    Buffer.of(0xff, 0xd8),
    quantisation,
    frame,
    huffmanTable(0x00, 0),
    huffmanTable(0x10, 0xe0),
    dc,
    ...refinements,
    Buffer.of(0xff, 0xd9),
  ]);
}

const word = (value: number) => [value >> 8, value & 255];
const segment = (marker: number, content: Buffer) =>
  Buffer.concat([Buffer.of(0xff, marker, ...word(content.length + 2)), content]);
const huffmanTable = (selector: number, symbol: number) =>
  segment(0xc4, Buffer.of(selector, 1, ...new Array<number>(15).fill(0), symbol));
const scanHeader = (of: { coefficient: number; high: number; low: number }) =>
  segment(0xda, Buffer.of(1, 1, 0x00, of.coefficient, of.coefficient, (of.high << 4) | of.low));

/** Padded with ones; a byte FF within the data is followed by 00. */
function bits(text: string): Buffer {
  const bytes = text.match(/.{1,8}/g)?.map((byte) => parseInt(byte.padEnd(8, '1'), 2)) ?? [];
  return Buffer.from(bytes.flatMap((byte) => (byte === 0xff ? [0xff, 0] : [byte])));
}
