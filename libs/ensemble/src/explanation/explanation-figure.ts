// An explanation as a piece of HTML for a page such as the report: the picture and a table of the slices with the greatest scores.
import { escapeHtml } from '@ct-ensemble/core';
import type { ScanExplanation } from './explanation.ts';

/**
 * Returns one `<figure>` without scripts, styles or external files; the PNG of `drawScanExplanation` is inside as a data URI.
 * `most` is the number of slices in the table, default 6.
 */
export function explanationFigure(
  explanation: ScanExplanation,
  { png, most = 6 }: { png: Uint8Array; most?: number },
): string {
  const { scan, explained, method, slices, members } = explanation;
  const rows = slices.slice(0, most).map(({ position, file, score }) => {
    const cells = [String(position), file ?? '–', score.toFixed(3)];
    return `<tr>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`;
  });
  const caption = `${scan}: why ${explained}, ${method}, ${members.length === 1 ? members[0]!.member : `mean of ${members.length} members`}`;
  return [
    '<figure class="explanation">',
    `<img alt="${escapeHtml(`Slices of ${scan} that speak for ${explained}, with maps laid over them`)}" src="data:image/png;base64,${Buffer.from(png).toString('base64')}">`,
    `<figcaption>${escapeHtml(caption)}</figcaption>`,
    `<table><thead><tr><th>slice</th><th>file</th><th>score</th></tr></thead><tbody>${rows.join('')}</tbody></table>`,
    '</figure>',
  ].join('\n');
}
