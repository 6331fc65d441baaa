// The HTML page of a data set: its numbers, lists and escaping.
import { previewPage, type PreviewScan, type PreviewSummary } from './preview-page.ts';

const scan = (key: string, more: Partial<PreviewScan> = {}): PreviewScan => ({
  key,
  split: key.split('/')[0]!,
  className: 'covid',
  slices: 40,
  kept: 30,
  failure: null,
  sheet: { png: 'sheets/a.png', small: 'sheets/a.jpg' },
  ...more,
});
const summary = (more: Partial<PreviewSummary> = {}): PreviewSummary => ({
  root: '/data',
  recipe: 'quick',
  about: ['volumes of 16 slices'],
  classes: ['non-covid', 'covid'],
  scans: [
    scan('train/covid/ct_scan_1'),
    scan('train/covid/ct_scan_2', { slices: 60, kept: 60 }),
    scan('train/non-covid/ct_scan_1', { className: 'non-covid', sheet: null }),
    scan('val/covid/ct_scan_1', {
      failure: 'none of its 3 slices can be decoded',
      slices: 0,
      kept: 0,
      sheet: null,
    }),
    scan('test/ct_scan_7', { className: null }),
  ],
  sizes: new Map([['512 × 512', 3]]),
  intensities: [
    { title: 'of all members', counts: Array.from({ length: 256 }, (_, i) => (i === 0 ? 745 : 1)) },
  ],
  findings: [],
  ...more,
});
/** The text of a page, without tags. */
const textOf = (page: string) =>
  page
    .replace(/<style>[^]*<\/style>/, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ');

test('counts scans of each split and class, slices, sizes and grey values', () => {
  const text = textOf(previewPage(summary()));
  expect(text).toContain('5 scans, 1 failed, 0 findings');
  expect(text).toContain('split non-covid covid no label failed all');
  expect(text).toContain('train 1 2 0 0 3');
  expect(text).toContain('val 0 0 0 1 1');
  expect(text).toContain('test 0 0 1 0 1');
  expect(text).toContain('180 slices: 150 kept, 30 dropped.');
  expect(text).toContain('40 to 60, median 40');
  expect(text).toContain('30 to 60, median 30');
  expect(text).toContain('512 × 512 3');
  expect(text).toContain('0: 74.50 %, 255: 0.10 %, mean 32.6'); // (1 + … + 255) / 1000
  expect(text).toContain('val/covid/ct_scan_1 none of its 3 slices can be decoded');
  expect(text).toContain('For 3 of the 4 scans that could be prepared.');
});

test('every sheet is linked once, and its small picture is loaded lazily', () => {
  const page = previewPage(summary());
  expect(page.match(/<a href="sheets\/a\.png"><img src="sheets\/a\.jpg" loading="lazy"/g)).toHaveLength(3);
});

test('the bars of a histogram hold every scan', () => {
  const slices = [5, 5, 6, 100, 250, 251, 700];
  const page = previewPage(
    summary({ scans: slices.map((count, i) => scan(`train/covid/${i}`, { slices: count })) }),
  );
  const [chart] = /<svg[^]*?<\/svg>/.exec(page)!;
  const counts = [...chart.matchAll(/slices: (\d+) scans/g)].map(([, count]) => Number(count));
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(slices.length);
  expect(counts[0]).toBe(3);
  expect(counts.length).toBeLessThanOrEqual(30);
});

test('all findings are listed by kind, kinds with many findings are folded', () => {
  const findingsOf = (kind: string, count: number) =>
    Array.from({ length: count }, (_, i) => ({
      kind,
      path: `train/covid/${kind}-${i}`,
      message: `finding ${i}`,
    }));
  const page = previewPage(
    summary({
      findings: [
        ...findingsOf('mixed-sizes', 2),
        ...findingsOf('same-scan', 11),
        ...findingsOf('mixed-sizes', 1),
      ],
    }),
  );
  expect(page).toMatch(/<details open>\s*<summary><b>mixed-sizes<\/b> <span class="faint">3</);
  expect(page).toMatch(/<details>\s*<summary><b>same-scan<\/b> <span class="faint">11</);
  expect(page.match(/<li>train\/covid\//g)).toHaveLength(14);
});

test('names and messages are escaped', () => {
  const evil = `<img src=x onerror="alert('1')">&`;
  const sane = '&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;';
  const page = previewPage(
    summary({
      root: evil,
      recipe: evil,
      about: [evil],
      classes: [evil, 'covid'],
      scans: [
        scan(`train/${evil}`, { className: evil }),
        scan(`val/${evil}`, { failure: evil, sheet: null }),
      ],
      sizes: new Map([[evil, 1]]),
      intensities: [{ title: evil, counts: new Array<number>(256).fill(1) }],
      findings: [{ kind: evil, path: evil, message: evil }],
    }),
  );
  expect(page).not.toContain('<img src=x');
  expect(page).not.toMatch(/["']alert/);
  expect(page.split(sane).length - 1).toBeGreaterThanOrEqual(12);
});

test('a data set without any usable scan still gets a page', () => {
  const scans = [scan('train/covid/ct_scan_1', { failure: 'empty', sheet: null })];
  const none = { title: 'of all members', counts: new Array<number>(256).fill(0) };
  const page = previewPage(summary({ scans, sizes: new Map(), intensities: [none] }));
  expect(textOf(page)).toContain('1 scans, 1 failed');
  expect(page).not.toMatch(/NaN|Infinity|undefined/);
});

test('nothing is fetched from elsewhere, and no script runs', () => {
  expect(previewPage(summary())).not.toMatch(/<script|<link|https?:|@import|url\(/);
});
