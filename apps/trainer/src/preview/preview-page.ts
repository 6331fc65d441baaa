// The page of a data set: numbers, findings and contact sheets, in one HTML file that loads nothing from elsewhere.
import { escapeHtml } from '@ct-ensemble/core';

export interface PreviewScan {
  key: string;
  split: string;
  className: string | null;
  /** Number of decodable slices, and how many of them are kept because they show lung. */
  slices: number;
  kept: number;
  failure: string | null;
  /** Files of its contact sheet, relative to the page; null if none was drawn. */
  sheet: { png: string; small: string } | null;
}

export interface PreviewSummary {
  root: string;
  recipe: string;
  /** Sentences about the volumes and how they were made. */
  about: readonly string[];
  classes: readonly string[];
  scans: readonly PreviewScan[];
  /** For each size of slices (`512 × 512`): the number of scans that have it. */
  sizes: ReadonlyMap<string, number>;
  /** For each preparation: the number of voxels with each of the 256 grey values. */
  intensities: readonly { title: string; counts: readonly number[] }[];
  findings: readonly { kind: string; path: string; message: string }[];
}

const STYLE = `
:root { color-scheme: dark; }
body { margin: 2rem auto; max-width: 1400px; padding: 0 1rem; background: #0d1117; color: #e6edf3;
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { margin-top: 2.5rem; font-size: 1.15rem; border-bottom: 1px solid #30363d; }
h3 { font-size: 1rem; }
p, li { overflow-wrap: anywhere; }
table { border-collapse: collapse; }
th, td { padding: .2rem .9rem; border-bottom: 1px solid #30363d; text-align: right; }
th:first-child { text-align: left; }
.faint, figcaption span { color: #8b949e; }
.bad { color: #ff7b72; }
.charts { display: flex; flex-wrap: wrap; gap: 2rem; }
.charts figure { margin: 0; }
.sheets { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1rem; }
.sheets figure { margin: 0; }
.sheets img { width: 100%; height: 220px; object-fit: cover; object-position: top; border: 1px solid #30363d; border-radius: 4px; }
.sheets a:hover img { border-color: #58a6ff; }
figcaption { overflow-wrap: anywhere; font-size: .9rem; }
svg { display: block; }
svg rect { fill: #58a6ff; }
svg text { fill: #8b949e; font-size: 11px; }
summary { cursor: pointer; }
`;

const SPLITS = ['train', 'val', 'test'];

/** Kinds with more findings than this are folded. */
const FOLDED_ABOVE = 10;

/** The HTML page. All names and messages are escaped. */
export function previewPage(summary: PreviewSummary): string {
  const { root, recipe, about, scans, findings, intensities } = summary;
  const failed = scans.filter(({ failure }) => failure !== null);
  const usable = scans.filter(({ failure }) => failure === null);
  const sheets = scans.filter(({ sheet }) => sheet !== null);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(root)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(root)}</h1>
<p>${scans.length} scans, ${failed.length} failed, ${findings.length} findings; prepared with the recipe ${escapeHtml(recipe)}.</p>
<ul class="faint">
${about.map((line) => `<li>${escapeHtml(line)}</li>`).join('\n')}
</ul>
<h2>Scans</h2>
${countTable(summary)}
<h2>Slices</h2>
<p>${sliceCounts(usable)}</p>
<div class="charts">
<figure>
<figcaption>Slices per scan</figcaption>
${histogramOfSlices(usable.map(({ slices }) => slices))}
</figure>
<figure>
<figcaption>Kept slices per scan</figcaption>
${histogramOfSlices(usable.map(({ kept }) => kept))}
</figure>
</div>
${sizeTable(summary)}
<h2>Grey values of the volumes</h2>
<div class="charts">
${intensities.map(intensityFigure).join('\n')}
</div>
<h2>Failed scans</h2>
${failed.length === 0 ? '<p>None.</p>' : failed.map(({ key, failure }) => `<p><b class="bad">${escapeHtml(key)}</b> ${escapeHtml(failure!)}</p>`).join('\n')}
<h2>Findings</h2>
${findings.length === 0 ? '<p>None.</p>' : findingGroups(findings)}
<h2>Contact sheets</h2>
<p>${sheets.length === usable.length ? 'One for every prepared scan.' : `For ${sheets.length} of the ${usable.length} scans that could be prepared.`}</p>
${sheetGroups(sheets)}
</body>
</html>
`;
}

function countTable({ classes, scans }: PreviewSummary): string {
  const count = (matches: (scan: PreviewScan) => boolean) => scans.filter(matches).length;
  const columns = [...classes, null];
  const rows = SPLITS.map((split) => {
    const perClass = columns.map((name) =>
      count((scan) => scan.split === split && scan.failure === null && scan.className === name),
    );
    const failed = count((scan) => scan.split === split && scan.failure !== null);
    const cells = [...perClass, failed, count((scan) => scan.split === split)];
    return `<tr><th>${split}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  const heads = ['split', ...classes, 'no label', 'failed', 'all'];
  return `<table>
<thead><tr>${heads.map((head) => `<th>${escapeHtml(head)}</th>`).join('')}</tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>`;
}

function sliceCounts(scans: readonly PreviewScan[]): string {
  const slices = scans.reduce((sum, scan) => sum + scan.slices, 0);
  const kept = scans.reduce((sum, scan) => sum + scan.kept, 0);
  return `${slices} slices: ${kept} kept, ${slices - kept} dropped.`;
}

/** Greatest number of bars in a histogram. */
const MOST_BARS = 30;

function histogramOfSlices(values: readonly number[]): string {
  if (values.length === 0) return '<p>No scans.</p>';
  const [least, most] = values.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, 0],
  );
  const step = Math.ceil((most - least + 1) / MOST_BARS);
  const bars = Array.from({ length: Math.ceil((most - least + 1) / step) }, (_, i) => {
    const from = least + i * step;
    const to = from + step - 1;
    const count = values.filter((value) => value >= from && value <= to).length;
    return { count, name: `${step === 1 ? from : `${from} to ${to}`} slices: ${count} scans` };
  });
  const sorted = [...values].sort((a, b) => a - b);
  const median = sorted[sorted.length >> 1]!;
  const caption = `<p class="faint">${least} to ${most}, median ${median}</p>`;
  return chart(bars, { from: String(least), to: String(most) }) + caption;
}

/** Number of rows in the table of sizes. */
const MOST_SIZES = 10;

function sizeTable({ sizes }: PreviewSummary): string {
  if (sizes.size === 0) return '';
  const rows = [...sizes].sort((a, b) => b[1] - a[1]);
  const others = rows.length - MOST_SIZES;
  return `<table>
<thead><tr><th>size of slices</th><th>scans with a contact sheet</th></tr></thead>
<tbody>
${rows
  .slice(0, MOST_SIZES)
  .map(([size, scans]) => `<tr><th>${escapeHtml(size)}</th><td>${scans}</td></tr>`)
  .join('\n')}
</tbody>
</table>
${others > 0 ? `<p class="faint">and ${others} other sizes</p>` : ''}`;
}

/** Black and white are written as text: in masked volumes most voxels are black, and its bar would dwarf all others. */
function intensityFigure({ title, counts }: PreviewSummary['intensities'][number]): string {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return '<p>No volumes.</p>';
  const share = (count: number) => `${((100 * count) / total).toFixed(2)} %`;
  const bars = counts
    .slice(1, 255)
    .map((count, i) => ({ count, name: `${i + 1}: ${share(count)} of the voxels` }));
  const mean = counts.reduce((sum, count, value) => sum + count * value, 0) / total;
  return `<figure>
<figcaption>${escapeHtml(title)}</figcaption>
${chart(bars, { from: '1', to: '254' })}
<p class="faint">0: ${share(counts[0]!)}, 255: ${share(counts[255]!)}, mean ${mean.toFixed(1)}</p>
</figure>`;
}

const CHART = { width: 520, height: 140 };

/** Bars that start at 0; the greatest count is written at the top, the ends of the axis below. */
function chart(
  bars: readonly { count: number; name: string }[],
  { from, to }: { from: string; to: string },
): string {
  const { width, height } = CHART;
  const most = bars.reduce((high, { count }) => Math.max(high, count), 1);
  const step = width / bars.length;
  const rects = bars.map(({ count, name }, i) => {
    const tall = (count / most) * height;
    const place = `x="${(i * step).toFixed(2)}" y="${(height - tall + 14).toFixed(2)}"`;
    const size = `width="${Math.max(step - (bars.length > 100 ? 0 : 1), 1).toFixed(2)}" height="${tall.toFixed(2)}"`;
    return `<rect ${place} ${size}><title>${escapeHtml(name)}</title></rect>`;
  });
  return `<svg width="${width}" height="${height + 30}" viewBox="0 0 ${width} ${height + 30}" role="img">
<text x="0" y="10">${most}</text>
${rects.join('\n')}
<text x="0" y="${height + 27}">${escapeHtml(from)}</text>
<text x="${width}" y="${height + 27}" text-anchor="end">${escapeHtml(to)}</text>
</svg>`;
}

function findingGroups(findings: PreviewSummary['findings']): string {
  const groups = [...new Set(findings.map(({ kind }) => kind))].map((kind) => {
    const lines = findings.filter((finding) => finding.kind === kind);
    const items = lines.map(
      ({ path, message }) =>
        `<li>${escapeHtml(path)}: <span class="faint">${escapeHtml(message)}</span></li>`,
    );
    return `<details${lines.length > FOLDED_ABOVE ? '' : ' open'}>
<summary><b>${escapeHtml(kind)}</b> <span class="faint">${lines.length}</span></summary>
<ul>
${items.join('\n')}
</ul>
</details>`;
  });
  return groups.join('\n');
}

function sheetGroups(scans: readonly PreviewScan[]): string {
  const groups = new Map<string, PreviewScan[]>();
  for (const scan of scans) {
    const name = `${scan.split}, ${scan.className ?? 'no label'}`;
    groups.set(name, [...(groups.get(name) ?? []), scan]);
  }
  return [...groups]
    .map(
      ([name, members]) => `<h3>${escapeHtml(name)} <span class="faint">${members.length}</span></h3>
<div class="sheets">
${members.map(sheetFigure).join('\n')}
</div>`,
    )
    .join('\n');
}

function sheetFigure({ key, slices, kept, sheet }: PreviewScan): string {
  const { png, small } = sheet!;
  return `<figure>
<a href="${escapeHtml(png)}"><img src="${escapeHtml(small)}" loading="lazy" alt="Contact sheet of ${escapeHtml(key)}"></a>
<figcaption>${escapeHtml(key)} <span>${slices} slices, ${kept} kept</span></figcaption>
</figure>`;
}
