// The parts of dcmjs and dicom-codec that are used here; the packages ship no types.
declare module 'dcmjs' {
  export type Dataset = Record<string, { vr?: string; Value?: unknown; _rawValue?: unknown } | undefined>;

  const dcmjs: {
    log: { setLevel(level: string): void; getLogger(name: string): { setLevel(level: string): void } };
    data: {
      DicomMessage: {
        readFile(
          buffer: ArrayBuffer,
          options: {
            ignoreErrors: boolean;
            untilTag: string;
            includeUntilTagValue: boolean;
            noCopy: boolean;
          },
        ): { meta: Dataset; dict: Dataset };
      };
    };
  };
  export default dcmjs;
}

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
