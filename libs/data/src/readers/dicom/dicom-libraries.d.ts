// The parts of dicom-codec and its decoders that are used here; the packages ship no types.
declare module '@cornerstonejs/dicom-codec' {
  export interface ImageInfo {
    rows: number;
    columns: number;
    bitsAllocated: number;
    samplesPerPixel: number;
    signed: boolean;
    pixelRepresentation: number;
  }

  export interface Codec {
    hasCodec(transferSyntax: string): boolean;
    decode(
      frame: Uint8Array,
      image: ImageInfo,
      transferSyntax: string,
    ): Promise<{ imageFrame: ArrayBufferView }>;
  }
}

declare module '@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs' {
  export interface JPEGDecoder {
    /** Memory for so many bytes of a file. */
    getEncodedBuffer(length: number): Uint8Array;
    decode(): void;
    /** Of the last image; valid until the next. */
    getDecodedBuffer(): Uint8ClampedArray;
  }
}
