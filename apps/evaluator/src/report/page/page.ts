// The report as one HTML file: no script, no font, no picture from outside.
import { explanationFigure, type FigurePicture, type ScanExplanation } from '@ct-ensemble/ensemble';
import type { PictureGroup, RunReport } from '../model/report-model.ts';
import type { Chart } from '../tables/chart.ts';
import type { Block, Section } from '../tables/section.ts';
import { sectionsOf } from '../tables/sections.ts';
import { type Cell, cellText, type Column, rangeText, signed, type Table } from '../tables/table.ts';
import { drawing } from './drawing.ts';
import { html, type Markup, trusted } from './html.ts';
import { style } from './style.ts';

/** A picture of a scan's slices. */
export interface Picture {
  mediaType: 'image/jpeg' | 'image/png';
  bytes: Uint8Array;
  width: number;
  height: number;
  /** Which slices it shows, such as `slices 8, 16 and 24 of 32`. */
  shows: string;
}

/** Pictures by the key of the scan; scans without one are shown by name only. */
export type Pictures = ReadonlyMap<string, Picture>;

export interface PageImages {
  pictures?: Pictures;
  /** Explanations with their pictures by the key of the scan; the page shows at most {@link mostExplanations} in a place. */
  explanations?: ReadonlyMap<string, { explanation: ScanExplanation; picture: FigurePicture }>;
}

/** Explanations that are shown in one place, at most, so that the page stays small. */
export const mostExplanations = 6;

/** The whole page. Every name and text of the report is escaped. */
export function reportPage(
  report: RunReport,
  { pictures = new Map(), explanations = new Map() }: PageImages = {},
): string {
  const sections = sectionsOf(report);
  const context = { report, pictures, explanations };
  const title = `Run ${report.run}`;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        />
        <title>${title}</title>
        <style>
          ${trusted(style)}
        </style>
      </head>
      <body>
        <a class="skip" href="#summary">Skip to the summary</a>
        <header>
          <h1>${title}</h1>
          <p class="about">Recipe ${report.recipe.name}. Classes: ${report.classes.join(', ')}.</p>
        </header>
        <nav aria-label="Sections">
          <ul>
            ${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}
          </ul>
        </nav>
        <main>${sections.map((section) => sectionMarkup(section, { ...context, level: 2 }))}</main>
        <footer>
          <p>
            The tables of this page lie beside it as text, CSV and JSON. Not a medical device: for research
            only.
          </p>
        </footer>
      </body>
    </html> `.text;
}

interface Context extends Required<PageImages> {
  report: RunReport;
  level: 2 | 3;
}

function sectionMarkup({ id, title, blocks, parts }: Section, context: Context): Markup {
  const heading =
    context.level === 2 ? html`<h2 id="${id}-title">${title}</h2>` : html`<h3 id="${id}-title">${title}</h3>`;
  const inside = parts.map((part) => sectionMarkup(part, { ...context, level: 3 }));
  // Only the sections of the first level are landmarks.
  const label = context.level === 2 ? html` aria-labelledby="${id}-title"` : null;
  return html`<section id="${id}" ${label}>
    ${heading} ${blockGroups(blocks).map((group) => groupMarkup(group, context))}${inside}
  </section> `;
}

/** Neighbouring charts come side by side. */
function blockGroups(blocks: readonly Block[]): Block[][] {
  const groups: Block[][] = [];
  for (const block of blocks) {
    const last = groups.at(-1);
    if (block.kind === 'chart' && last?.[0]?.kind === 'chart') last.push(block);
    else groups.push([block]);
  }
  return groups;
}

function groupMarkup(blocks: readonly Block[], context: Context): Markup {
  const markup = blocks.map((block) => blockMarkup(block, context));
  return blocks.length > 1 ? html`<div class="charts">${markup}</div>` : html`${markup}`;
}

function blockMarkup(block: Block, context: Context): Markup | null {
  switch (block.kind) {
    case 'words':
      return html`${block.sentences.map((sentence) => html`<p>${sentence}</p> `)}`;
    case 'list':
      return listMarkup(block.sentences, block.first);
    case 'table':
      return tableMarkup(block.table, block.first === undefined ? {} : { first: block.first });
    case 'matrix':
      return tableMarkup(block.table, { shade: block.shade });
    case 'chart':
      return chartMarkup(block.chart);
    case 'pictures':
      return html`${block.groups.map((group) => pictureMarkup(group, context))}`;
    case 'explanations':
      return explanationMarkup(block.scans, context);
    case 'text':
      return html`<details>
        <summary>${block.title}</summary>
        <pre tabindex="0" role="region" aria-label="${block.title}">${block.text}</pre>
      </details> `;
    default:
      return block satisfies never;
  }
}

function listMarkup(sentences: readonly string[], first = sentences.length): Markup {
  const list = (some: readonly string[]) =>
    html`<ul class="words">
      ${some.map((sentence) => html`<li>${sentence}</li>`)}
    </ul>`;
  if (sentences.length <= first) return list(sentences);
  return html`${list(sentences.slice(0, first))}
    <details>
      <summary>${sentences.length - first} more sentences</summary>
      ${list(sentences.slice(first))}
    </details> `;
}

function explanationMarkup(scans: readonly string[], { explanations }: Context): Markup | null {
  const found = scans.flatMap((key) => explanations.get(key) ?? []);
  if (found.length === 0) return null;
  const shown = found.slice(0, mostExplanations);
  const more =
    found.length > shown.length
      ? html`<p class="more">
          ${found.length - shown.length} more explained scans are in the folder of the explanations.
        </p>`
      : null;
  return html`<h4>Why the members answer so</h4>
    <p>
      Which slices speak for the class and where, as evaluator:explain has written it. Such pictures are for
      finding faults of a network, not for diagnosis.
    </p>
    ${shown.map(({ explanation, picture }) => trusted(explanationFigure(explanation, { picture })))}${more}`;
}

function chartMarkup(chart: Chart): Markup {
  return html`<figure>
    <figcaption>${chart.title}</figcaption>
    ${drawing(chart)}
    <details>
      <summary>Numbers of this chart</summary>
      ${tableMarkup(chart.data)}
    </details>
  </figure> `;
}

/** From so many columns on a table is set smaller in print. */
const wideColumns = 9;

function tableMarkup(table: Table, { first, shade }: { first?: number; shade?: number[][] } = {}): Markup {
  const { columns, rows, notes } = table;
  const shown = first === undefined ? rows : rows.slice(0, first);
  const id = `table-${table.id}`;
  const kinds = [
    ...(shade === undefined ? [] : ['matrix']),
    ...(columns.length >= wideColumns ? ['wide'] : []),
  ];
  const left = rows.length - shown.length;
  return html`<div class="scroll" role="region" tabindex="0" aria-labelledby="${id}-title">
      <table id="${id}" class="${kinds.join(' ')}">
        <caption>
          <span id="${id}-title">${table.title}</span
          >${notes.map((note) => html`<small>${note}</small>`)}
        </caption>
        <thead>
          <tr>
            ${columns.map((column) => html`<th scope="col" class="${classOf(column)}">${column.title}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${shown.map(
            (row, r) =>
              html`<tr>
                ${columns.map((column, c) => cellMarkup(row[c], { column, isHead: c === 0, shade: shade?.[r]?.[c - 1] }))}
              </tr> `,
          )}
        </tbody>
      </table>
    </div>
    ${left > 0 ? html`<p class="more">${left} more rows are in the file ${table.id}.csv.</p> ` : null}`;
}

const classOf = ({ kind = 'text' }: Column) => (kind === 'text' ? 't' : 'n');

function cellMarkup(
  cell: Cell | undefined,
  { column, isHead, shade }: { column: Column; isHead: boolean; shade: number | undefined },
): Markup {
  const text = contentMarkup(cell, column);
  if (isHead) return html`<th scope="row" class="long">${text}</th>`;
  if (shade !== undefined) return html`<td class="n" style="--s:${shade.toFixed(3)}">${text}</td>`;
  return html`<td class="${typeof cell === 'string' && cell.length > 24 ? 'long' : classOf(column)}">
    ${text}
  </td>`;
}

function contentMarkup(cell: Cell | undefined, { kind }: Column): Markup {
  if (typeof cell !== 'object' || cell === null) return html`${cellText(cell, kind)}`;
  if (cell.estimate === null || cell.interval === null)
    return html`${cellText({ ...cell, interval: null }, kind)}`;
  return html`${signed(cell.estimate)} <span class="range">${rangeText(cell.interval)}</span>`;
}

function pictureMarkup({ title, scans, count }: PictureGroup, { pictures }: Context): Markup {
  return html`<h4>${title} (${count})</h4>
    <ul class="pictures">
      ${scans.map(({ key, confidence }) => {
        const picture = pictures.get(key);
        const words = `${key}, ${(100 * confidence).toFixed(1)} %`;
        if (picture === undefined) return html`<li>${words}</li>`;
        const data = `data:${picture.mediaType};base64,${Buffer.from(picture.bytes).toString('base64')}`;
        return html`<li>
          <img
            src="${data}"
            width="${picture.width}"
            height="${picture.height}"
            alt="${title}, scan ${key}: ${picture.shows}"
          />${words}
        </li>`;
      })}
    </ul> `;
}
