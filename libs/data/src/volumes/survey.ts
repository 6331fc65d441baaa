// The survey of a scan: every slice is decoded once, to learn which slices are readable and how much lung they show.
import { messageOf } from '@ct-ensemble/core';
import { listed } from '../findings.ts';
import { isEnoughLung, lungShare, shareOf } from '../lungs/lungs.ts';
import type { SliceFinding, SliceSource } from '../readers/slice-source.ts';
import type { GreyImage } from '../scan.ts';
import type { PrepareOptions } from './preparation-settings.ts';

/** Number of slices that are decoded together and go through a network as one batch. */
export const SLICES_PER_CHUNK = 32;

/** Decoded slices are kept in memory up to this many bytes per scan; the others are decoded again when needed. */
const MAX_KEPT_BYTES = 2 ** 27;

/** What is known of a scan's slices. Slices are named by their position in the scan; the first is 0. */
export interface SliceSurvey {
  /** Number of slices, readable or not. */
  count: number;
  /** The slices that can be decoded. */
  decodable: number[];
  /** Those of `decodable` that show lung; all of them if `slices: lung` is not asked for. */
  withLung: number[];
  /** The share of each slice that is lung, 0 … 1; empty unless thresholds or `sampling: lung-area` need it. */
  areas: Map<number, number>;
  /** The decoded slice, at its own size. */
  imageOf(slice: number): Promise<GreyImage>;
  findings: SliceFinding[];
}

/** Decodes every slice. A slice that cannot be decoded is left out and reported as a finding; it never throws. */
export async function surveySlices(
  source: SliceSource,
  { preparation, networks = {} }: PrepareOptions,
): Promise<SliceSurvey> {
  const { slices = 'all', sampling = 'nearest' } = preparation;
  const { filter, segmenter } = networks;
  const findings = [...source.findings];
  const decodable: number[] = [];
  const withLung: number[] = [];
  const areas = new Map<number, number>();
  const slicesBySize = new Map<string, number>();
  const slicesByLoss = new Map<string, number[]>();
  const images = new Map<number, GreyImage>();
  let keptBytes = 0;
  for (let from = 0; from < source.count; from += SLICES_PER_CHUNK) {
    const decoded: { i: number; image: GreyImage }[] = [];
    for (let i = from; i < Math.min(from + SLICES_PER_CHUNK, source.count); i++) {
      try {
        const { image, loss } = await source.decode(i);
        if (loss !== null) slicesByLoss.set(loss, [...(slicesByLoss.get(loss) ?? []), i]);
        decoded.push({ i, image });
      } catch (error) {
        findings.push({ kind: 'undecodable-slice', slices: [i], message: `left out: ${messageOf(error)}` });
      }
    }
    const chunk = decoded.map(({ image }) => image);
    const needsThreshold = (slices === 'lung' && !filter) || (sampling === 'lung-area' && !segmenter);
    const shares = needsThreshold ? chunk.map(lungShare) : [];
    const keep =
      slices === 'all' ? chunk.map(() => true) : ((await filter?.keep(chunk)) ?? shares.map(isEnoughLung));
    const lung = sampling === 'lung-area' && segmenter ? (await segmenter.masks(chunk)).map(shareOf) : shares;
    for (const [k, { i, image }] of decoded.entries()) {
      decodable.push(i);
      if (keep[k]) withLung.push(i);
      if (lung[k] !== undefined) areas.set(i, lung[k]);
      const size = `${image.width}×${image.height}`;
      slicesBySize.set(size, (slicesBySize.get(size) ?? 0) + 1);
      if (!keep[k] || keptBytes + image.data.length > MAX_KEPT_BYTES) continue;
      images.set(i, image);
      keptBytes += image.data.length;
    }
  }
  if (slicesBySize.size > 1 && !source.findings.some(({ kind }) => kind === 'mixed-sizes')) {
    const parts = [...slicesBySize].sort((a, b) => b[1] - a[1]).map(([size, count]) => `${count} of ${size}`);
    findings.push({ kind: 'mixed-sizes', slices: [], message: `slices of several sizes: ${listed(parts)}` });
  }
  for (const [message, slices] of slicesByLoss) findings.push({ kind: 'converted-slices', slices, message });
  const imageOf = async (i: number) => images.get(i) ?? (await source.decode(i)).image;
  return { count: source.count, decodable, withLung, areas, imageOf, findings };
}
