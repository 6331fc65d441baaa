// The page of one scan: its slices, probabilities, doubt and findings, in one HTML file that loads nothing from elsewhere.
import { createHash } from 'node:crypto';
import { drawContactSheet, nearestIndices, type SheetSection, tileImage } from '@ct-ensemble/data';
import { escapeHtml } from '@ct-ensemble/core';
import type { Answer, Answered, Ensemble } from '@ct-ensemble/ensemble';

/** Slices that are shown, at most, evenly spaced. */
const MOST_TILES = 48;

const STYLE = `
:root { color-scheme: dark; }
body { margin: 2rem auto; max-width: 1100px; padding: 0 1rem; background: #0d1117; color: #e6edf3; font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; overflow-wrap: anywhere; }
h2 { margin-top: 2rem; font-size: 1.05rem; border-bottom: 1px solid #30363d; }
table { border-collapse: collapse; }
th, td { padding: .2rem .8rem; border-bottom: 1px solid #30363d; text-align: right; font-variant-numeric: tabular-nums; }
th:first-child { text-align: left; }
td.bar { width: 200px; }
td.bar div { height: 10px; background: #58a6ff; }
.faint { color: #8b949e; overflow-wrap: anywhere; }
.bad { color: #ff7b72; overflow-wrap: anywhere; }
img { max-width: 100%; }
`;

/** The page's file name: characters of the scan's path, and a digest of it, so that no two scans share one. */
export function pageName(scan: string): string {
  const plain = scan.replaceAll(/[^A-Za-z0-9.-]+/g, '_').replace(/^[._-]+/, '');
  return `${plain.slice(-80)}-${createHash('sha256').update(scan).digest('hex').slice(0, 8)}.html`;
}

/** The HTML page. Names and messages are escaped. Answers need their volumes for the slices to be shown. */
export async function answerPage(
  answer: Answer,
  { id, manifest, members }: Pick<Ensemble, 'id' | 'manifest' | 'members'>,
): Promise<string> {
  const findings = answer.findings.map(
    ({ kind, message }) => `<li><b>${escapeHtml(kind)}</b> ${escapeHtml(message)}</li>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(answer.scan)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(answer.scan)}</h1>
${answer.failure === null ? await answeredParts(answer, { classes: manifest.classes, members }) : `<p class="bad">No answer: ${escapeHtml(answer.failure)}</p>`}
<h2>Findings</h2>
${findings.length === 0 ? '<p>None.</p>' : `<ul>\n${findings.join('\n')}\n</ul>`}
<p class="faint">Ensemble ${escapeHtml(manifest.name)}, ${escapeHtml(id)}. Scan ${escapeHtml(answer.content ?? 'not read')}. Research software, not a medical device.</p>
</body>
</html>
`;
}

async function answeredParts(
  answer: Answered,
  { classes, members }: { classes: readonly string[]; members: readonly string[] },
): Promise<string> {
  const { predicted, probabilities, calibrated, spread, set, alpha, entropy, mutualInformation } = answer;
  const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
  const rows = classes.map(
    (name, k) =>
      `<tr><th>${escapeHtml(name)}</th><td class="bar"><div style="width:${(100 * probabilities[k]!).toFixed(1)}%"></div></td>` +
      `<td>${percent(probabilities[k]!)}</td><td>${percent(calibrated[k]!)}</td>` +
      `<td>${percent(spread.min[k]!)} – ${percent(spread.max[k]!)}</td><td>${percent(spread.sd[k]!)}</td></tr>`,
  );
  const head = classes.map((name) => `<th>${escapeHtml(name)}</th>`).join('');
  const memberRows = members.map(
    (name, m) =>
      `<tr><th>${escapeHtml(name)}</th>${answer.members[m]!.map((value) => `<td>${percent(value)}</td>`).join('')}</tr>`,
  );
  const inSet =
    set.length === 1
      ? `${escapeHtml(set[0]!)} alone: an answer`
      : set.length === 0
        ? 'no class: for a reader'
        : `${set.map(escapeHtml).join(', ')}: for a reader`;
  return `<p>Predicted: <b>${escapeHtml(predicted)}</b>. Classes that cannot be excluded (${percent(1 - alpha)} of such sets hold the true class): ${inSet}.</p>
<table>
<tr><th>class</th><th></th><th>probability</th><th>calibrated</th><th>members, least – greatest</th><th>sd</th></tr>
${rows.join('\n')}
</table>
<p class="faint">Entropy ${entropy.toFixed(3)} nats, of it ${mutualInformation.toFixed(3)} from the members' disagreement; ${percent(answer.votesAgainst)} of the members predict another class.</p>
<h2>Members</h2>
<table>
<tr><th>member</th>${head}</tr>
${memberRows.join('\n')}
</table>
<h2>Slices</h2>
<p>${answer.kept} of ${answer.slices} slices may be in the volume. The numbers are positions in the scan, from 0.</p>
${await slicesOf(answer)}`;
}

/** The slices of the prepared volumes as a picture inside the page. */
async function slicesOf({ scan, volumes = [] }: Answered): Promise<string> {
  if (volumes.length === 0) return '';
  const sections = volumes.map(({ volume, sources }): SheetSection => {
    const { depth, height, width, data } = volume;
    const shown = nearestIndices(depth, Math.min(depth, MOST_TILES));
    const part = shown.length < depth ? `, ${shown.length} shown` : '';
    return {
      title: `prepared volume: ${depth} slices of ${width} × ${height}${part}`,
      tiles: shown.map((z) => ({
        label: String(sources[z]),
        state: 'used',
        image: tileImage({
          height,
          width,
          data: data.subarray(z * height * width, (z + 1) * height * width),
        }),
      })),
    };
  });
  const { png } = await drawContactSheet({ lines: [scan], legend: [], sections });
  return `<img alt="slices of the prepared volume" src="data:image/png;base64,${Buffer.from(png).toString('base64')}">`;
}
