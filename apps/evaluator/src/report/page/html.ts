// HTML from template literals in which every interpolated text is escaped, so that no name can become markup.
import { escapeHtml } from '@ct-ensemble/core';

/** Markup that was made by {@link html} or {@link trusted}. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Part = Markup | string | number | null | readonly Part[];

/** Markup whose interpolated texts are escaped; null and empty lists give nothing. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(strings.reduce((all, text, i) => all + textOf(parts[i - 1] ?? null) + text));
}

/** Text that is markup already and holds nothing from outside: a style sheet, an escaped drawing. */
export const trusted = (text: string): Markup => new Markup(text);

function textOf(part: Part): string {
  if (part === null) return '';
  if (part instanceof Markup) return part.text;
  if (typeof part === 'object') return part.map(textOf).join('');
  return escaped(String(part));
}

/** Text for HTML content and quoted attributes. Control characters that HTML forbids become U+FFFD. */
export function escaped(text: string): string {
  return escapeHtml(text).replaceAll(/(?![\t\n\r])\p{Cc}/gu, '\ufffd');
}
