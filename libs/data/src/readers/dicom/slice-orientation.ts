// Slices turned so that row 0 is anterior and column 0 is the patient's right; nothing is interpolated.
import type { Slice } from '../../scan.ts';
import type { AxialImage, DicomImage } from './dicom-image.ts';

/** Whether the rows of the file run from front to back rather than from side to side. */
export const isTransposed = ({ geometry }: DicomImage) => {
  const row = geometry.orientation?.row ?? [1, 0, 0];
  return Math.abs(row[0]) < Math.abs(row[1]);
};

/** The slice with row 0 anterior and column 0 the patient's right: rows and columns swapped, mirrored, or as they are. */
export function turned(image: AxialImage): Slice {
  const { slice, geometry } = image;
  const { row, column } = geometry.orientation ?? { row: [1, 0, 0], column: [0, 1, 0] };
  const transposed = isTransposed(image);
  const mirrored = (transposed ? column : row)[0] < 0;
  const upended = (transposed ? row : column)[1] < 0;
  if (!transposed && !mirrored && !upended) return slice;
  const height = transposed ? slice.width : slice.height;
  const width = transposed ? slice.height : slice.width;
  const data = new Int16Array(slice.data.length);
  for (let y = 0; y < height; y++) {
    const v = upended ? height - 1 - y : y;
    for (let x = 0; x < width; x++) {
      const u = mirrored ? width - 1 - x : x;
      data[y * width + x] = slice.data[transposed ? u * slice.width + v : v * slice.width + u]!;
    }
  }
  return { height, width, data };
}
