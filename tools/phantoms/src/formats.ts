// Writes the slices of one scan in one of the file formats.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import sharp from 'sharp';

import type { PlannedScan } from './plan.ts';
import type { RenderedSlice } from './render.ts';

/** `jpeg`: 8-bit grey; `dicom` and `nifti`: Hounsfield units. */
export const FORMATS = ['jpeg', 'dicom', 'nifti'] as const;
export type Format = (typeof FORMATS)[number];

export interface ScanTarget {
  scan: PlannedScan;
  /** Path of the scan without the ending of a file. */
  path: string;
  seed: number;
  size: number;
}

export interface ScanWriter {
  /** Writes slice `k`, counted from 0 at the head. */
  slice(slice: RenderedSlice, k: number): Promise<void>;
  /** Call after the last slice was written. */
  end(): Promise<void>;
}

/** What a scan's path ends with: only a scan that is one file has an ending. */
export const endingOf = (format: Format) => (format === 'nifti' ? '.nii.gz' : '');

export async function openScan(format: Format, target: ScanTarget): Promise<ScanWriter> {
  const { path, size, seed, scan } = target;
  await mkdir(format === 'nifti' ? dirname(path) : path, { recursive: true });
  switch (format) {
    case 'jpeg':
      return {
        slice: async ({ grey }, k) => writeFile(join(path, `${k}.jpg`), await jpegOf(grey, size)),
        end: async () => undefined,
      };
    case 'dicom': {
      const { dicomFile, seriesHeader } = await import('./dicom.ts'); // dcmjs takes a fifth of a second to load
      const header = seriesHeader(seed, scan);
      return {
        slice: (slice, k) =>
          writeFile(join(path, `IM${String(k + 1).padStart(4, '0')}`), dicomFile(header, slice, { k, size })),
        end: async () => undefined,
      };
    }
    case 'nifti': {
      const { niftiFile } = await import('./nifti.ts');
      const slices: RenderedSlice[] = [];
      return {
        slice: async (slice, k) => void (slices[k] = slice),
        end: () => writeFile(`${path}${endingOf(format)}`, niftiFile(slices, size)),
      };
    }
    default:
      return format satisfies never;
  }
}

const jpegOf = (grey: Uint8Array, size: number) =>
  sharp(grey, { raw: { width: size, height: size, channels: 1 } })
    .toColourspace('b-w')
    .jpeg({ quality: 95 })
    .toBuffer();

export const pngOf = (mask: Uint8Array, size: number) =>
  sharp(mask, { raw: { width: size, height: size, channels: 1 } })
    .toColourspace('b-w')
    .png({ compressionLevel: 3 })
    .toBuffer();
