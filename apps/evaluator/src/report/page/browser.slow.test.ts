// The page in a real browser: readable on a phone and a desk, light and dark, by a screen reader, and printed.
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { jest } from '@jest/globals';
import { type Browser, chromium } from 'playwright-core';
import type { FigurePicture, ScanExplanation } from '@ct-ensemble/ensemble';
import sharp from 'sharp';
import type { RowInput } from '../input/run-input.ts';
import { fakeRun } from '../fake-run.fixture.ts';
import { reportOfRun } from '../model/report-of-run.ts';
import { reportPage } from './page.ts';

/** CT_ENSEMBLE_CHROMIUM, or a Chromium in PATH. */
function findChromium(): string | undefined {
  const given = process.env['CT_ENSEMBLE_CHROMIUM'];
  if (given !== undefined) return given;
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const files = (process.env['PATH'] ?? '')
    .split(delimiter)
    .flatMap((folder) => names.map((name) => join(folder, name)));
  return files.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const executablePath = findChromium();
const describeInBrowser = executablePath === undefined ? describe.skip : describe;
const title =
  executablePath === undefined
    ? 'in Chromium (none in PATH, and CT_ENSEMBLE_CHROMIUM names none)'
    : 'in Chromium';

interface Violation {
  id: string;
  nodes: { html: string }[];
}

jest.setTimeout(600_000); // axe reads every text of every table

describeInBrowser(title, () => {
  let browser: Browser;
  const folder = mkdtempSync(join(tmpdir(), 'ct-ensemble-page-'));
  const file = join(folder, 'report.html');
  const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

  beforeAll(async () => {
    const run = fakeRun({
      scans: 40,
      members: 3,
      splits: ['out-of-fold', 'test'],
      mark: ' a/very-long_name',
    });
    const [folded, test] = run.splits;
    const mean = folded!.rows.at(-1)!;
    const choice = {
      words: 'greedy: member-1 a/very-long_name 1.00',
      isStretched: true,
      mean: mean.probabilities,
    };
    const chosen: RowInput = { ...mean, name: 'selected a/very-long_name', kind: 'chosen', choice };
    const unlabelled = { ...test!, scans: test!.scans.map((scan) => ({ ...scan, label: null })) };
    const gain = { estimate: 0.02, interval: [-0.01, 0.05] as [number, number] };
    const augmentation = [{ split: 'out-of-fold' as const, row: 'ensemble', augmentation: 'flips,slices:4', scans: 40, plain: 0.8, augmented: 0.82, gain }]; // prettier-ignore
    const splits = [{ ...folded!, rows: [chosen, ...folded!.rows] }, unlabelled];
    const report = reportOfRun({ ...run, splits, augmentation }, { resamples: 50 });
    const scan = report.splits[0]!.errors[0]!.key;
    const bytes = await sharp({ create: { width: 1000, height: 600, channels: 3, background: '#123' } })
      .webp()
      .toBuffer();
    const explanation: ScanExplanation = {
      scan,
      split: 'val',
      label: null,
      classes: report.classes,
      explained: report.classes[0]!,
      probabilities: [0.75, 0.25],
      method: 'grad-cam',
      slices: [
        { position: 3, file: `${scan}/with/a/very/long/path/of/the/slice/3.jpg`, score: -0.25, places: [0] },
      ],
      members: [],
    };
    const picture: FigurePicture = { mediaType: 'image/webp', bytes, width: 1000, height: 600 };
    const explanations = new Map([[scan, { explanation, picture }]]);
    writeFileSync(file, reportPage(report, { explanations }));
    browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox'] });
  });

  afterAll(async () => {
    await browser.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const sizes = [1280, 390].flatMap((width) =>
    (['light', 'dark'] as const).map((scheme) => ({ width, scheme })),
  );

  test.each(sizes)(
    '$width pixels, $scheme: no violation of axe, no horizontal scrolling',
    async ({ width, scheme }) => {
      const context = await browser.newContext({
        viewport: { width, height: 900 },
        colorScheme: scheme,
        bypassCSP: true,
      });
      try {
        const page = await context.newPage();
        const problems: string[] = [];
        page.on('console', (message) => problems.push(message.text()));
        page.on('request', (request) => {
          if (!/^(file|data):/.test(request.url())) problems.push(request.url());
        });
        await page.goto(`file://${file}`);
        expect(problems).toEqual([]);
        await page.addScriptTag({ content: axe });
        const { violations } = (await page.evaluate(
          `(async () => {
          for (const details of document.querySelectorAll('details')) details.open = true;
          return axe.run();
        })()`,
        )) as { violations: Violation[] };
        expect(violations.map(({ id, nodes }) => [id, nodes[0]!.html])).toEqual([]);
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
      } finally {
        await context.close();
      }
    },
  );

  test('printed on A4, no table is wider than the page', async () => {
    const page = await browser.newPage({ viewport: { width: 703, height: 1000 } }); // 186 mm at 96 dpi
    try {
      await page.goto(`file://${file}`);
      await page.emulateMedia({ media: 'print' });
      const wide = await page.evaluate(
        `[...document.querySelectorAll('table')].filter((table) => table.getBoundingClientRect().right > innerWidth + 1).map((table) => table.id)`,
      );
      expect(wide).toEqual([]);
      const pdf = await page.pdf({ preferCSSPageSize: true });
      expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
    } finally {
      await page.close();
    }
  });
});
