// From the files of one scan to one volume of fixed size: choose slices, resize them, mask them, equalise them.
import { messageOf, UserError } from '@ct-ensemble/core';
import type { Finding } from '../findings.ts';
import { masksOf } from '../lungs/lungs.ts';
import { openSlices, type SliceFinding } from '../readers/slice-source.ts';
import type { ScanEntry } from '../scan-entry.ts';
import type { GreyImage } from '../scan.ts';
import { settingsOf } from './content-key.ts';
import { equalizeHistogram } from './equalize.ts';
import { fingerprintOf } from './fingerprint.ts';
import { masked, withBorder } from './masking.ts';
import { openScan, type OpenedScan } from './opened-scan.ts';
import { requireValid, viewsOf, type Preparation, type PrepareOptions } from './preparation-settings.ts';
import { resizeBilinear } from './resize.ts';
import { sampleSlices } from './slice-choice.ts';
import { duplicateSlices, findingsByFile } from './slice-findings.ts';
import { SLICES_PER_CHUNK, surveySlices, type SliceSurvey } from './survey.ts';
import type { Volume } from './volume.ts';

/** The result of preparing one scan. Slices are named by their position in the scan; the first is 0. */
export interface PreparedScan {
  /** Null if the preparation failed. */
  volume: Volume | null;
  /** Why there is no volume; null if there is one. */
  failure: string | null;
  /** Number of slices that could be decoded. */
  decodable: number;
  /** Slices that could be decoded and are not used because they show no lung. */
  dropped: number[];
  /** [depth], for each slice of the volume the slice that it was made of. */
  sources: number[];
  /**
   * `fingerprintOf` the volume without mask and equalisation, which make different scans look alike; null if there is
   * no volume or no fingerprint was asked for.
   */
  fingerprint: string | null;
  findings: SliceFinding[];
}

/**
 * Prepares one scan without a store.
 * @throws {UserError} if no volume can be made of the scan, or a setting is not allowed.
 */
export async function prepareVolume(
  scan: Pick<ScanEntry, 'key' | 'format' | 'slices'>,
  preparation: Preparation,
): Promise<{ volume: Volume; findings: Finding[] }> {
  const opened = await openScan(scan);
  const { volume, failure, findings } = await prepareOpened(scan, opened, {
    preparation,
    fingerprint: false,
  });
  if (volume === null)
    throw new UserError(failure ?? 'no volume', {
      file: scan.key,
      remedy: 'replace its files, or remove the scan',
    });
  return { volume, findings: findingsByFile([...duplicateSlices(opened.files), ...findings], scan) };
}

/**
 * Prepares a scan of any format from its files in memory. A slice that cannot be decoded is left out, with a finding. If
 * nothing of the scan can be read, the result has no volume but a `failure`. Slices are resized as Pillow does it
 * (bilinear, antialiased); masks and equalisation are applied at the volume's size.
 * @throws {UserError} if a setting is not allowed.
 */
export async function prepareOpened(
  scan: Pick<ScanEntry, 'key' | 'format' | 'slices'>,
  { files, surveys }: OpenedScan,
  options: PrepareOptions,
): Promise<PreparedScan> {
  const { preparation, networks = {} } = options;
  requireValid(preparation);
  const { slices, sampling, filter, segmenter, values } = settingsOf(preparation, networks);
  const surveyKey = JSON.stringify({ slices, sampling, filter, segmenter, values });
  const survey =
    surveys.get(surveyKey) ??
    openSlices(scan, files, { values }).then((source) => surveySlices(source, options));
  surveys.set(surveyKey, survey);
  try {
    return await makeVolume(await survey, options);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const findings = [{ kind: 'unreadable-scan', slices: [], message: messageOf(error) }];
    return failed(messageOf(error), findings);
  }
}

function failed(failure: string, findings: SliceFinding[]): PreparedScan {
  return { volume: null, failure, decodable: 0, dropped: [], sources: [], fingerprint: null, findings };
}

/** If fewer slices than this show lung, all slices are used: a volume of one or two repeated slices would be useless. */
const MIN_LUNG_SLICES = 4;

async function makeVolume(survey: SliceSurvey, options: PrepareOptions): Promise<PreparedScan> {
  const { preparation } = options;
  const { count, decodable, withLung, areas, imageOf } = survey;
  const findings = [...survey.findings];
  if (decodable.length === 0) return failed(failureOf(count, findings), findings);
  const tooFew = withLung.length < MIN_LUNG_SLICES;
  const kept = tooFew ? decodable : withLung;
  if (withLung.length < decodable.length) {
    const counts = `${withLung.length} of ${decodable.length} slices show lung`;
    findings.push(
      tooFew
        ? { kind: 'too-few-lung-slices', slices: [], message: `${counts}; all slices are used` }
        : { kind: 'slices-without-lung', slices: [], message: `${counts}; the others are left out` },
    );
  }
  const { height, width, sampling = 'nearest', secondView = 'shared', draw } = preparation;
  const views = viewsOf(preparation);
  const keptAreas = kept.map((i) => areas.get(i) ?? 0);
  const sources = sampleSlices({
    count: kept.length,
    views,
    sampling,
    secondView,
    areas: keptAreas,
    ...(draw && { draw }),
  }).map((k) => kept[k]!);
  const size = { depth: sources.length, height, width };
  const volume: Volume = { ...size, data: new Uint8Array(sources.length * height * width) };
  const isPlain = !preparation.mask && !preparation.equalize;
  const plain: Volume =
    isPlain || options.fingerprint === false ? volume : { ...size, data: new Uint8Array(volume.data.length) };
  const unique = [...new Set(sources)];
  for (let from = 0; from < unique.length; from += SLICES_PER_CHUNK) {
    const chunk = unique.slice(from, from + SLICES_PER_CHUNK);
    const images = await Promise.all(chunk.map(imageOf));
    const resized = images.map((image) => resizeBilinear(image, preparation));
    const finished = isPlain ? resized : await maskAndEqualize(images, resized, options);
    for (const [k, i] of chunk.entries())
      for (let z = sources.indexOf(i); z >= 0; z = sources.indexOf(i, z + 1)) {
        volume.data.set(finished[k]!.data, z * height * width);
        if (plain !== volume) plain.data.set(resized[k]!.data, z * height * width);
      }
  }
  const used = new Set(kept);
  const dropped = decodable.filter((i) => !used.has(i));
  const fingerprint = options.fingerprint === false ? null : fingerprintOf(plain);
  return { volume, failure: null, decodable: decodable.length, dropped, sources, fingerprint, findings };
}

/** Masks come from the slices at their own size; they are applied to the slices at the volume's size. */
async function maskAndEqualize(
  images: readonly GreyImage[],
  resized: readonly GreyImage[],
  { preparation, networks = {} }: PrepareOptions,
): Promise<GreyImage[]> {
  const { mask = null, equalize = false } = preparation;
  const masks = mask === null ? null : await masksOf(images, networks.segmenter);
  return resized.map((image, i) => {
    const lung = mask && masks ? masked(image, withBorder(masks[i]!, mask)) : image;
    return equalize ? equalizeHistogram(lung) : lung;
  });
}

function failureOf(slices: number, findings: readonly SliceFinding[]) {
  const first = findings.find(({ kind }) => kind === 'undecodable-slice');
  return slices === 0
    ? 'has no slice'
    : `none of its ${slices} slices can be decoded; the first: ${first?.message}`;
}
