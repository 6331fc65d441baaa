// The part of yauzl that the ensemble file uses; the package ships no types.
declare module 'yauzl' {
  export interface Entry {
    fileName: string;
    compressionMethod: number;
    compressedSize: number;
    uncompressedSize: number;
    isEncrypted(): boolean;
  }

  export interface ZipFile {
    entryCount: number;
    eachEntry(): AsyncIterable<Entry>;
    readLocalFileHeaderPromise(entry: Entry, options: { minimal: true }): Promise<{ fileDataStart: number }>;
    close(): void;
  }

  export function fromBufferPromise(
    buffer: Buffer,
    options?: { strictFileNames?: boolean },
  ): Promise<ZipFile>;
}
