// The live page in a headless Chromium: numbers and curves as they change, names as text, keyboard, phone, no other addresses.
import { claimFolder } from '@ct-ensemble/core';
import { type Browser, type BrowserPage, findChromium, startChromium } from '../testing/chromium.ts';
import { madeRun, type MadeRun } from '../testing/made-run.ts';
import { type Dashboard, openDashboard } from './server.ts';

const chromium = findChromium();
const browserTest = chromium === undefined ? test.skip : test;
const needs = '(needs CT_ENSEMBLE_CHROMIUM or chromium on the PATH)';

let browser: Browser | undefined;
let made: MadeRun;
let dashboard: Dashboard;
let claim: Awaited<ReturnType<typeof claimFolder>>;
const evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
const members = [
  'one',
  'two',
  'three',
  ...Array.from({ length: 57 }, (_, i) => `a-member-with-a-long-name-${i + 4}`),
];

beforeAll(async () => {
  made = await madeRun(members);
  claim = await claimFolder(made.run);
  await made.history('one', [0.5, 0.25]);
  await made.history('two', [0.5, 0.4, 0.3, 0.2]);
  await made.progress('one', { epoch: 3, message: null });
  await made.progress('three', { state: 'failed', message: evil });
  await made.file('three', 'failed.json', JSON.stringify({ reason: evil }));
  await made.file(
    'two',
    'done.json',
    JSON.stringify({ epochs: 4, bestEpoch: 4, macroF1: 0.8, weights: 'w' }),
  );
  await made.file('one', 'log.txt', `2026-01-01T00:00:00Z info ${evil}\n`);
  await made.coordinator({ devices: [{ name: 'gpu:0', members: ['one'] }], waiting: members.slice(3) });
  dashboard = await openDashboard({ run: made.run, interval: 200 });
  if (chromium !== undefined) browser = await startChromium(chromium);
});
afterEach(() => browser?.closePages());
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await dashboard.end();
  await claim.release();
});

async function openPage(width = 1280, scheme: 'light' | 'dark' = 'light') {
  const page = await browser!.page({ width, height: 800, scheme });
  await page.open(dashboard.address);
  await page.until('document.querySelectorAll("#rows > tr").length === 60');
  return page;
}
const textOf = (page: BrowserPage, selector: string) =>
  page.value<string>(`document.querySelector(${JSON.stringify(selector)}).innerText`);
/** The text of a member's row, cell by cell. */
const rowOf = (page: BrowserPage, member: string) =>
  page.value<string[]>(
    `[...[...document.querySelectorAll('#rows > tr')].find((row) => row.querySelector('button')?.textContent === ${JSON.stringify(member)}).children].map((cell) => cell.textContent)`,
  );

browserTest(`the state of every member, and changes as they come ${needs}`, async () => {
  const page = await openPage();
  expect(await textOf(page, 'h1')).toBe('tiny');
  expect(await textOf(page, '#state')).toBe('training');
  // Finished: 2.5 epochs of one (epoch 3, step 5 of 10) and 4 of two, of 60 members with 4 epochs.
  expect(await page.value('document.querySelector("#whole-progress").value')).toBeCloseTo(6.5 / 240, 6);
  expect(await textOf(page, '#numbers')).toMatch(
    /2 %\s+1 of 60 members done\s+1 training\s+57 waiting\s+1 failed/,
  );
  expect(await rowOf(page, 'one')).toEqual([
    'one',
    '● training',
    '3/4',
    '5/10',
    '0.7000',
    '0.7500',
    '0.7500',
    '4.00',
    '15 s',
    'cpu:1',
  ]);
  expect((await rowOf(page, 'two')).slice(1, 7)).toEqual(['✔ done', '4/4', '', '0.2000', '0.8000', '0.8000']);
  expect(await textOf(page, '#devices')).toMatch(/gpu:0:\s*one/);
  const points = () =>
    page.value<number>(
      '[...document.querySelectorAll("#loss-chart path")].map((path) => path.getAttribute("d").match(/[ML]/g).length).reduce((a, b) => a + b)',
    );
  expect(await points()).toBe(6);
  await made.history('one', [0.5, 0.25, 0.125]);
  await made.progress('one', { epoch: 4, step: 2, loss: 0.1 });
  await page.until(
    'document.querySelector("#rows").innerText.includes("4/4") && document.querySelector("#rows").innerText.includes("0.8750")',
  );
  await page.until(
    '[...document.querySelectorAll("#loss-chart path")].some((path) => path.getAttribute("d").match(/[ML]/g).length === 3)',
  );
  expect(await points()).toBe(7);
  expect(page.problems).toEqual([]);
});

browserTest(`names, reasons and logs are text ${needs}`, async () => {
  const page = await openPage();
  expect((await rowOf(page, 'three'))[0]).toBe(`three${evil}`);
  await page.value('[...document.querySelectorAll("#rows button")][0].click()');
  await page.until('document.querySelector("pre")?.textContent.includes("onerror")');
  expect(await textOf(page, 'pre')).toBe(`2026-01-01T00:00:00Z info ${evil}`);
  expect(await page.value('document.images.length + document.scripts.length')).toBe(1);
  expect(await page.value('document.title')).toMatch(/tiny: training$/);
});

browserTest(`the page asks for nothing but itself, and its policy would not let it ${needs}`, async () => {
  const page = await openPage();
  await page.value('document.querySelector("#rows button").click()');
  await page.until('document.querySelector("pre")?.textContent.length > 0');
  const own = page.requests.filter((address) => !address.startsWith('data:'));
  expect(own.length).toBeGreaterThan(2);
  for (const address of own) expect(address.startsWith(dashboard.address)).toBe(true);
  expect(page.problems).toEqual([]);
  expect(await page.value('fetch("http://127.0.0.1:9/").then(() => "asked", () => "refused")')).toBe(
    'refused',
  );
  expect(page.problems.join()).toMatch(/Content Security Policy/);
});

browserTest.each([
  [390, 'light'],
  [390, 'dark'],
  [320, 'light'],
  [1280, 'dark'],
] as const)(
  `%i pixels, %s: nothing is wider than the page, also with a member open ${needs}`,
  async (width, scheme) => {
    const page = await openPage(width, scheme);
    await page.value('[...document.querySelectorAll("#rows button")][2].click()');
    await page.until('document.querySelector("pre")?.textContent.length > 0');
    const hidden = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
    expect(await page.value(hidden)).toBe(0);
    const isDark = await page.value('getComputedStyle(document.body).backgroundColor === "rgb(13, 17, 23)"');
    expect(isDark).toBe(scheme === 'dark');
    // Every cell with text lies within the page.
    expect(
      await page.value(
        '[...document.querySelectorAll("tbody th, tbody td, dd, pre, button, select, li")].filter((each) => each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.outerHTML)',
      ),
    ).toEqual([]);
  },
);

browserTest(
  `by keyboard: every control in order, members open and close, and focus survives new states ${needs}`,
  async () => {
    const page = await openPage();
    const focused = () =>
      page.value<string>(
        'document.activeElement.id || document.activeElement.textContent || document.activeElement.tagName',
      );
    const order: string[] = [];
    for (let i = 0; i < 5; i++) {
      await page.press('Tab');
      order.push(await focused());
    }
    expect(order).toEqual(['one', 'filter', 'order', 'one', 'two']);
    const isOpen = () => page.value<string>('document.activeElement.getAttribute("aria-expanded")');
    await page.press('Enter');
    expect(await isOpen()).toBe('true');
    expect(await page.value('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid');
    await page.until('document.querySelector("pre")?.textContent.length > 0');
    await page.press('Tab');
    expect(await page.value('document.activeElement.getAttribute("aria-label")')).toBe('Log of two');
    await page.press('Tab');
    expect(await focused()).toBe('three'); // the log is no trap
    const before = await page.value<string>('performance.now()');
    await made.progress('one', { epoch: 4, step: 7 });
    await page.until(
      `document.querySelector("#rows").innerText.includes("7/10") && performance.now() > ${before}`,
    );
    expect(await focused()).toBe('three');
    await page.value(
      'document.querySelector("#order").value = "best"; document.querySelector("#order").dispatchEvent(new Event("change"))',
    );
    expect(await focused()).toBe('three');
    expect(await page.value('document.querySelector("#rows button").textContent')).toBe('one');
  },
);

browserTest(`the page keeps the last state when the program ends ${needs}`, async () => {
  const own = await madeRun(['one']);
  await own.history('one', [0.5]);
  const short = await openDashboard({ run: own.run, interval: 50 });
  const page = await browser!.page({ width: 800, height: 600, scheme: 'light' });
  await page.open(short.address);
  await page.until('document.querySelectorAll("#rows > tr").length === 1');
  await own.history('one', [0.5, 0.25]);
  await short.end();
  await page.until('document.querySelector("#connection").textContent.includes("has ended")');
  expect((await rowOf(page, 'one')).slice(0, 5)).toEqual(['one', '! interrupted', '2/4', '', '0.2500']);
});
