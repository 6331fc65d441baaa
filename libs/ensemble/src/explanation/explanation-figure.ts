// An explanation as a piece of HTML for a page such as the report: the picture and a table of the slices with the greatest scores.
import { escapeHtml } from '@ct-ensemble/core';
import type { ScanExplanation } from './explanation.ts';

/** The picture of `drawScanExplanation`, perhaps smaller and in another format. */
export interface FigurePicture {
  mediaType: 'image/png' | 'image/jpeg' | 'image/webp';
  bytes: Uint8Array;
  /** Pixels. */
  width: number;
  height: number;
}

/**
 * Returns one `<figure>` without scripts, styles or external files; the picture is inside as a data URI. `most` is the number of slices in the table,
 * default 6.
 */
export function explanationFigure(
  explanation: ScanExplanation,
  { picture, most = 6 }: { picture: FigurePicture; most?: number },
): string {
  const { scan, explained, method, slices, members } = explanation;
  const rows = slices.slice(0, most).map(({ position, file, score }) => {
    const cells = [file ?? '–', score.toFixed(3).replace('-', '−')].map(
      (cell) => `<td>${escapeHtml(cell)}</td>`,
    );
    return `<tr><th scope="row">${position}</th>${cells.join('')}</tr>`;
  });
  const who = members.length === 1 ? members[0]!.member : `mean of ${members.length} members`;
  const { mediaType, bytes, width, height } = picture;
  const head = ['slice', 'file', 'score'].map((title) => `<th scope="col">${title}</th>`);
  return [
    '<figure class="explanation">',
    `<figcaption>${escapeHtml(`${scan}: why ${explained}, ${method}, ${who}`)}</figcaption>`,
    `<img alt="${escapeHtml(`Slices of ${scan} that speak for ${explained}, with maps laid over them`)}" width="${width}" height="${height}" src="data:${mediaType};base64,${Buffer.from(bytes).toString('base64')}">`,
    `<table><caption>${escapeHtml(`Slices of ${scan} with the greatest scores`)}</caption><thead><tr>${head.join('')}</tr></thead><tbody>${rows.join('')}</tbody></table>`,
    '</figure>',
  ].join('\n');
}
