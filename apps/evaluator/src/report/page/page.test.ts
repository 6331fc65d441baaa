import { type DefaultTreeAdapterTypes as Tree, parse } from 'parse5';
import type { FigurePicture, ScanExplanation } from '@ct-ensemble/ensemble';
import { fakeRun, type FakeRunOptions } from '../fake-run.fixture.ts';
import { reportOfRun } from '../model/report-of-run.ts';
import { tablesIn } from '../tables/section.ts';
import { sectionsOf } from '../tables/sections.ts';
import { html } from './html.ts';
import { type Picture, reportPage } from './page.ts';

type Element = Tree.Element;

const report = (options: FakeRunOptions = {}, resamples = 10) => reportOfRun(fakeRun(options), { resamples });
const mark = `<script>alert(1)</script><img src=x onerror=alert(1)>"'&`;
const small = report({ scans: 30 });
const marked = report({ scans: 30, mark, splits: ['out-of-fold', 'val'] });
const smallPage = reportPage(small);
const markedPage = reportPage(marked);

/** The parsed page: every element, and errors of the parser. */
function parsed(page: string) {
  const errors: string[] = [];
  const document = parse(page, { onParseError: ({ code }) => errors.push(code) });
  const elements: Element[] = [];
  const walk = (node: Tree.ParentNode) => {
    for (const child of node.childNodes) {
      if (!('tagName' in child)) continue;
      elements.push(child);
      walk(child);
    }
  };
  walk(document);
  const named = (tag: string) => elements.filter(({ tagName }) => tagName === tag);
  return { errors, elements, named };
}

const attribute = (element: Element, name: string) => element.attrs.find((each) => each.name === name)?.value;
const textOf = (node: Tree.Node): string =>
  'value' in node ? node.value : 'childNodes' in node ? node.childNodes.map(textOf).join('') : '';

test('the page parses without error, its headings are in order, its ids are unique', () => {
  const { errors, elements, named } = parsed(markedPage);
  expect(errors).toEqual([]);
  const levels = elements.flatMap(({ tagName }) => (/^h[1-6]$/.test(tagName) ? [Number(tagName[1])] : []));
  expect(levels[0]).toBe(1);
  levels.slice(1).forEach((level, i) => expect(level).toBeLessThanOrEqual(levels[i]! + 1));
  expect(levels.filter((level) => level === 1)).toHaveLength(1);
  const ids = elements.flatMap((element) => attribute(element, 'id') ?? []);
  expect(new Set(ids).size).toBe(ids.length);
  const links = named('a').map((link) => attribute(link, 'href')!.slice(1));
  for (const link of links) expect(ids).toContain(link);
});

test('every section is there, in order', () => {
  const { named } = parsed(reportPage(report({ scans: 30, splits: ['out-of-fold'] })));
  expect([...named('h2'), ...named('h3')].map(textOf)).toEqual([
    'What this run says',
    'Out-of-fold scans',
    'Members and their training',
    'Data',
    'Recipe and versions',
    'Scores',
    'Confusion matrices',
    'Which differences the data can carry',
    'Combination of members',
    'ROC and precision-recall curves of mean of all',
    'Reliability of mean of all',
    'Doubt about single scans',
    'Errors of mean of all',
    'Scores by group',
    'Scans without probabilities',
  ]);
});

test('tables have captions and scopes; drawings a role, a text alternative and their numbers as a table', () => {
  const { named, elements } = parsed(smallPage);
  for (const table of named('table')) {
    const [caption] = table.childNodes.filter((node) => 'tagName' in node && node.tagName === 'caption');
    expect(textOf(caption!).trim()).not.toBe('');
  }
  for (const head of named('th')) expect(['col', 'row']).toContain(attribute(head, 'scope'));
  const charts = named('svg');
  expect(charts).toHaveLength(9);
  for (const chart of charts) {
    expect(attribute(chart, 'role')).toBe('img');
    expect(attribute(chart, 'aria-label')!.length).toBeGreaterThan(40);
    expect(attribute(chart, 'viewBox')).toMatch(/^0 0 \d+ \d+$/);
    const figure = chart.parentNode as Element;
    const details = figure.childNodes.find((node) => 'tagName' in node && node.tagName === 'details');
    expect(textOf(details!)).toContain('Numbers of this chart');
  }
  for (const region of elements.filter((element) => attribute(element, 'role') === 'region'))
    expect(attribute(region, 'tabindex')).toBe('0');
});

test('names that look like markup stay text everywhere', () => {
  const { errors, elements, named } = parsed(markedPage);
  expect(errors).toEqual([]);
  expect(named('script')).toEqual([]);
  expect(named('img')).toEqual([]);
  for (const { attrs } of elements) for (const { name } of attrs) expect(name).not.toMatch(/^on/);
  // The names are shown as they are.
  expect(textOf(named('h1')[0]!)).toBe(`Run a run${mark}`);
  expect(named('th').map(textOf)).toContain(`member-1${mark}`);
  const drawn = named('text').map(textOf).join('\n');
  expect(drawn).toContain('<script>');
  expect(markedPage).not.toContain('<script');
});

test('nothing is loaded from outside', () => {
  const { elements, named } = parsed(smallPage);
  expect(named('link')).toEqual([]);
  for (const element of elements)
    for (const name of ['src', 'srcset', 'data', 'poster', 'action', 'xlink:href'])
      expect(attribute(element, name) ?? 'data:').toMatch(/^data:/);
  expect(textOf(named('style')[0]!)).not.toMatch(/url\(|@import/);
});

test('colours of drawings are variables of the style sheet', () => {
  const { elements } = parsed(smallPage);
  const colours = elements.flatMap((element) =>
    ['fill', 'stroke'].flatMap((name) => attribute(element, name) ?? []),
  );
  expect(colours.length).toBeGreaterThan(100);
  for (const colour of new Set(colours)) expect(colour).toMatch(/^(none|transparent|var\(--[a-z0-9]+\))$/);
});

test('500 scans and six members with pictures stay below 5 MB', () => {
  const model = report({ scans: 500, members: 6, splits: ['out-of-fold', 'test'] }, 2);
  const keys = model.splits.flatMap(({ pictures }) =>
    pictures.flatMap(({ scans }) => scans.map(({ key }) => key)),
  );
  const picture: Picture = {
    mediaType: 'image/jpeg',
    bytes: new Uint8Array(15_000).fill(7),
    width: 224,
    height: 224,
    shows: 'slices 2, 6, 10 and 14 of 16',
  };
  const page = reportPage(model, { pictures: new Map(keys.map((key) => [key, picture])) });
  expect(keys.length).toBeGreaterThan(16);
  expect(parsed(page).named('img')).toHaveLength(keys.length);
  expect(Buffer.byteLength(page)).toBeLessThan(5e6);
});

const explanation = (scan: string): ScanExplanation => ({
  scan,
  split: 'val',
  label: null,
  classes: ['a', 'b'],
  explained: 'a',
  probabilities: [0.75, 0.25],
  method: 'grad-cam',
  slices: [{ position: 3, file: null, score: -0.25, places: [0] }],
  members: [],
});

test('explanations: those of the split, the errors first, at most six, with a text alternative', () => {
  const picture: FigurePicture = {
    mediaType: 'image/webp',
    bytes: Uint8Array.from([1, 2, 3]),
    width: 30,
    height: 20,
  };
  const single = report({ scans: 30, members: 1 }); // with errors
  const [split] = single.splits;
  const keys = split!.doubt.scans.map(({ key }) => key);
  const of = (some: readonly string[]) =>
    new Map(some.map((key) => [key, { explanation: explanation(key), picture }]));
  const figures = (page: string) =>
    parsed(page)
      .named('img')
      .map((image) => attribute(image, 'alt'));
  const alt = (key: string) => `Slices of ${key} that speak for a, with maps laid over them`;
  const error = split!.errors[0]!.key;
  const right = keys.find((key) => split!.errors.every((each) => each.key !== key))!;
  expect(figures(reportPage(single, { explanations: of([right, error, 'val/unknown']) }))).toEqual([
    alt(error),
    alt(right),
  ]);
  const all = reportPage(single, { explanations: of(keys) });
  expect(figures(all)).toHaveLength(6);
  expect(all).toContain(`${keys.length - 6} more explained scans`);
  expect(parsed(all).errors).toEqual([]);
  expect(reportPage(small, { explanations: of(['<b>']) })).toBe(smallPage);
});

test('equal reports give equal pages', () => {
  expect(reportPage(small)).toBe(smallPage);
});

test('all tables have distinct ids that can be file names, and distinct titles', () => {
  const tables = tablesIn(sectionsOf(marked));
  for (const { id, columns, rows } of tables) {
    expect(id).toMatch(/^[a-z0-9-]+$/);
    for (const row of rows) expect(row).toHaveLength(columns.length);
  }
  expect(new Set(tables.map(({ id }) => id)).size).toBe(tables.length);
  expect(new Set(tables.map(({ title }) => title)).size).toBe(tables.length);
});

test('html escapes texts, in lists too, and keeps markup', () => {
  const name = `<b>&"'`;
  expect(html`<p title="${name}">${[name, html`<i>${name}</i>`]}${null}${3}</p>`.text).toBe(
    '<p title="&lt;b&gt;&amp;&quot;&#39;">&lt;b&gt;&amp;&quot;&#39;<i>&lt;b&gt;&amp;&quot;&#39;</i>3</p>',
  );
  expect(html`${'a\0b\u001bc'}`.text).toBe('a\ufffdb\ufffdc');
});
