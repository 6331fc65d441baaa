// What the header of a DICOM file claims, for programs that bound memory before they decode.
import { parseDicom } from './dicom-dataset.ts';
import { frameElements } from './dicom-elements.ts';
import { MAX_SLICES } from './dicom-image.ts';
import { isDicom } from './dicom-bytes.ts';

/** Voxels of all frames by the header, which are decoded to 2 bytes each; 0 for a file that is no DICOM image that can be read. */
export function claimedVoxels(bytes: Uint8Array): number {
  if (!isDicom(bytes)) return 0;
  try {
    const elements = frameElements(parseDicom(bytes).dataset, 0);
    const of = (name: 'Rows' | 'Columns') => elements.whole(name, { from: 1, to: 65535 });
    const frames = elements.whole('NumberOfFrames', { from: 0, to: MAX_SLICES, missing: 1 }) || 1;
    return of('Rows') * of('Columns') * frames;
  } catch {
    return 0;
  }
}
