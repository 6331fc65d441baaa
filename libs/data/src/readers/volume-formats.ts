// The formats of which one file, or a header with its file of voxels, is a whole volume.
import { readNifti } from './nifti/nifti.ts';
import { metaDataFile, parseMetaHeader, readMetaImage } from './metaimage/metaimage.ts';
import { nrrdDataFile, parseNrrdHeader, readNrrd } from './nrrd/nrrd.ts';
import { besideHeader, MAX_HEADER, type TextVolume } from './header-text.ts';
import type { ValuesChoice } from './values.ts';
import type { Scan } from '../scan.ts';

export type VolumeFormat = 'nifti' | 'metaimage' | 'nrrd';

const formats: readonly { ending: RegExp; format: VolumeFormat }[] = [
  { ending: /\.nii(?:\.gz)?$/i, format: 'nifti' },
  { ending: /\.mh[ad]$/i, format: 'metaimage' },
  { ending: /\.(?:nrrd|nhdr)$/i, format: 'nrrd' },
];

/** The endings of volume files, in the order in which a name without ending is completed. */
export const VOLUME_ENDINGS = ['.nii.gz', '.nii', '.mha', '.mhd', '.nrrd', '.nhdr'] as const;

/** The format and the name without its ending if the file is a volume by its name: `a` of `a.nii.gz`; else undefined. */
export function volumeOf(file: string): { name: string; format: VolumeFormat } | undefined {
  for (const { ending, format } of formats) {
    const name = file.replace(ending, '');
    if (name !== file && name !== '' && !name.endsWith('/')) return { name, format };
  }
  return undefined;
}

/** Whether a file is a header whose voxels are usually in another file. */
export const isDetachedHeader = (file: string) => /\.(?:mhd|nhdr)$/i.test(file);

/** The path of the file of voxels that a header names; null if the voxels are in the header's own file. */
export function dataFileOf(header: string, beginning: Uint8Array): string | null {
  const meta = /\.mhd$/i.test(header) ? parseMetaHeader(beginning) : null;
  const nrrd = meta === null ? parseNrrdHeader(beginning) : null;
  const name = meta !== null ? metaDataFile(meta) : nrrd !== null ? nrrdDataFile(nrrd) : null;
  return name === null ? null : besideHeader(header, name);
}

/** So many bytes of a header are enough for `dataFileOf`. */
export const HEADER_BEGINNING = MAX_HEADER;

/** Reads a volume of the format. Throws a UserError that names the file. */
export function readVolumeOf(format: VolumeFormat, file: TextVolume, values?: ValuesChoice): Promise<Scan> {
  if (format === 'nifti') return readNifti(file, values);
  return format === 'metaimage' ? readMetaImage(file, values) : readNrrd(file, values);
}
