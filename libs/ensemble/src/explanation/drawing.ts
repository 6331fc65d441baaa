// Draws what explains a scan as a picture.
import { drawExplanation, type ExplainedSlice, type GreyImage } from '@ct-ensemble/data';
import { shownMap, type ValueMap } from '@ct-ensemble/models';
import type { ExplainedScan, SliceScore } from './explanation.ts';

/**
 * Draws the most representative slices of an explained scan as a PNG: each slice in grey, below it the map of the last features
 * over it, and the slice's own map, smoothed, because the gradients of strides and maximum pools differ from pixel to pixel.
 * Negative values are not drawn. The slices' maps share one scale, up to the greatest value among all slices of the volume.
 */
export function drawScanExplanation(
  { explanation, maps }: Pick<ExplainedScan, 'explanation' | 'maps'>,
  { most = 6 }: { most?: number } = {},
): Promise<Buffer> {
  const { scan, label, classes, explained, probabilities, method, slices, members } = explanation;
  const { volume, features } = maps;
  const { height, width } = volume;
  const pixels = height * width;
  const mapOf = ({ places }: SliceScore) => {
    const sum = new Float64Array(pixels);
    for (const place of places) for (let p = 0; p < pixels; p++) sum[p]! += maps.places[place * pixels + p]!;
    return smoothed({ height, width, data: sum });
  };
  const all = slices.map(mapOf);
  const greatest = all.reduce((top, map) => map.reduce((max, value) => Math.max(max, value), top), 0);
  const bytes = (data: Float64Array, scale: number): GreyImage => ({
    height,
    width,
    data: Uint8Array.from(data, (value) => (scale > 0 ? (255 * Math.max(0, value)) / scale : 0)),
  });
  const shown = bytes(shownMap(features).data, 1);
  const several = members.length === 1 ? members[0]!.member : `mean of ${members.length} members`;
  const percents = classes.map((name, i) => `${name} ${(100 * probabilities[i]!).toFixed(1)} %`);
  return drawExplanation({
    lines: [
      scan,
      `${several}: ${percents.join(', ')} - true class: ${label ?? 'not known'}`,
      `explained: the logit of ${explained}. Slices are ordered by their score, the most representative first`,
    ],
    rows: [
      `where the last features speak for ${explained} (${method}, all slices together)`,
      `what each slice adds to the logit of ${explained} through the first convolution, smoothed`,
    ],
    slices: slices.slice(0, most).map((slice, i): ExplainedSlice => {
      const place = slice.places[0]!;
      return {
        lines: [
          `slice ${slice.position}, score ${slice.score.toFixed(3)}`,
          slice.file === null ? '' : slice.file.split('/').at(-1)!,
        ],
        image: { height, width, data: volume.data.subarray(place * pixels, (place + 1) * pixels) },
        maps: [shown, bytes(all[i]!, greatest)],
      };
    }),
    scale: {
      least: '0, not coloured',
      most: `greatest value: of the features' map 1, of the slices' maps ${greatest.toPrecision(2)} (logit a pixel)`,
    },
  });
}

/** Mean over squares around each pixel, a twelfth of the width wide, done twice; beyond the border the map is 0. */
function smoothed({ height, width, data }: ValueMap): Float64Array {
  const reach = Math.max(1, Math.round(width / 24));
  const along = (values: Float64Array, { lines, length, step, next }: Axis) => {
    const means = new Float64Array(values.length);
    for (let line = 0; line < lines; line++)
      for (let i = 0; i < length; i++) {
        let sum = 0;
        for (let k = Math.max(0, i - reach); k <= Math.min(length - 1, i + reach); k++)
          sum += values[line * next + k * step]!;
        means[line * next + i * step] = sum / (2 * reach + 1);
      }
    return means;
  };
  const rows = { lines: height, length: width, step: 1, next: width };
  const columns = { lines: width, length: height, step: width, next: 1 };
  return [rows, columns, rows, columns].reduce((values, axis) => along(values, axis), data);
}

/** How the values of an image's rows or columns lie: `step` between neighbours of a line, `next` between lines. */
interface Axis {
  lines: number;
  length: number;
  step: number;
  next: number;
}
