// UIDs of the transfer syntaxes (PS3.5, annex A) by how the pixel data are stored.

export const IMPLICIT = '1.2.840.10008.1.2';
export const EXPLICIT = '1.2.840.10008.1.2.1';
export const BIG_ENDIAN = '1.2.840.10008.1.2.2';
export const DEFLATED = '1.2.840.10008.1.2.1.99';
/** GE's private syntax: implicit little endian, the pixel data big endian. */
export const GE_PRIVATE = '1.2.840.113619.5.2';

/** Without compression of the pixel data. */
export const isNative = (transferSyntax: string) =>
  [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED, GE_PRIVATE].includes(transferSyntax);

export const RLE = '1.2.840.10008.1.2.5';
export const JPEG_BASELINE = '1.2.840.10008.1.2.4.50';
/** Of 8 bits per sample, which a baseline decoder reads, or of 12 bits, for which there is no decoder. */
export const JPEG_EXTENDED = '1.2.840.10008.1.2.4.51';
export const JPEG_LOSSLESS: readonly string[] = ['1.2.840.10008.1.2.4.57', '1.2.840.10008.1.2.4.70'];

/** Syntaxes that may be lossy: JPEG, near-lossless JPEG-LS, JPEG 2000 and High-Throughput JPEG 2000. */
export const mayBeLossy = (transferSyntax: string) =>
  /^1\.2\.840\.10008\.1\.2\.4\.(50|51|81|91|203)$/.test(transferSyntax);
