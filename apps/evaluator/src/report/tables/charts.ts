// The charts of a split: which numbers are drawn, and their text alternatives.
import type { RunReport, SplitReport } from '../model/report-model.ts';
import { scoreText, withInterval } from '../model/words.ts';
import type { Axis, Chart, Series } from './chart.ts';
import type { Cell, Column, Table } from './table.ts';

/** Points of a curve that are drawn, and rows of its table, at most. */
const mostPoints = 300;
const mostRows = 21;
const entropyBins = 10;

const share = (title: string): Axis => ({ title, low: 0, high: 1 });

export function chartsOf(split: SplitReport, report: RunReport) {
  const of = (name: string) => `${split.split}-chart-${name}`;
  const about: Context = { split, report, of };
  const curves = split.curves.flatMap((points, k) => {
    // Of two classes the curves of one say what those of the other do.
    const isShown = report.classes.length > 2 || k === (report.positive ?? 1);
    return points === null || !isShown ? [] : [{ name: report.classes[k]!, k, points }];
  });
  return {
    scores: scoresChart(about),
    size: sizeChart(about),
    roc: curves.length === 0 ? null : rocChart(about, curves),
    precision: curves.length === 0 ? null : precisionChart(about, curves),
    reliability: reliabilityChart(about),
    entropy: entropyChart(about),
    risk: riskChart(about),
  };
}

interface Context {
  split: SplitReport;
  report: RunReport;
  of: (name: string) => string;
}

function dataTable({ split }: Context, { id, title, columns, rows }: Omit<Table, 'notes'>): Table {
  return { id, title: `${title} (${split.title.toLowerCase()})`, notes: [], columns, rows };
}

function scoresChart(about: Context): Chart {
  const { split, report, of } = about;
  const rows = split.rows.map(({ name, scores }) => ({
    name,
    estimate: scores.macroF1.estimate,
    interval: scores.macroF1.interval,
  }));
  const constant = split.constant.scores.macroF1!;
  const ends = rows.flatMap(({ estimate, interval }) => [estimate ?? 1, ...(interval ?? [])]);
  const low = Math.max(0, Math.floor(Math.min(constant, ...ends) * 10) / 10);
  return {
    kind: 'ranges',
    id: of('scores'),
    title: 'Macro F1 of every row with its 95 % interval',
    alternative: `Macro F1 with 95 % intervals: ${rows
      .slice(0, 12)
      .map((row, i) => `${row.name} ${withInterval(split.rows[i]!.scores.macroF1)}`)
      .join('; ')}. The same numbers stand in the table of scores.`,
    x: { title: 'macro F1', low, high: 1 },
    rows,
    reference: { name: `always ${report.classes[split.constant.class]}`, at: constant },
    data: dataTable(about, {
      id: of('scores'),
      title: 'Data: macro F1 with its interval',
      columns: [{ title: 'row' }, { title: 'macro F1', kind: 'interval' }],
      rows: split.rows.map(({ name, scores }): Cell[] => [name, scores.macroF1]),
    }),
  };
}

function sizeChart(about: Context): Chart | null {
  const { split, of } = about;
  const { sizeCurve } = split;
  if (sizeCurve.length < 2) return null;
  const line = (of: 'mean' | 'lowest' | 'highest') =>
    sizeCurve.map((point) => [point.members, point[of]] as const);
  const values = sizeCurve.flatMap(({ lowest, highest }) => [lowest ?? 1, highest ?? 0]);
  const last = sizeCurve.at(-1)!;
  return {
    kind: 'lines',
    id: of('size'),
    title: 'Macro F1 against the number of averaged members',
    alternative: `The mean macro F1 grows from ${scoreText(sizeCurve[0]!.mean)} with one member to ${scoreText(last.mean)} with ${last.members}. Lowest and highest are over the subsets of each size.`,
    x: { title: 'members', low: 1, high: last.members, whole: true },
    y: {
      title: 'macro F1',
      low: Math.floor(Math.min(...values) * 20) / 20,
      high: Math.min(1, Math.ceil(Math.max(...values) * 20 + 1e-9) / 20),
    },
    series: [
      { name: 'mean over subsets', points: line('mean'), marked: true },
      { name: 'lowest', points: line('lowest'), style: 'reference' },
      { name: 'highest', points: line('highest'), style: 'reference' },
    ],
    data: dataTable(about, {
      id: of('size'),
      title: 'Data: macro F1 against the number of members',
      columns: [
        { title: 'members', kind: 'count' },
        { title: 'subsets', kind: 'count' },
        { title: 'all subsets' },
        ...['mean', 'lowest', 'highest'].map((title): Column => ({ title, kind: 'score' })),
      ],
      rows: sizeCurve.map((point): Cell[] => [
        point.members,
        point.subsets,
        point.complete ? 'yes' : 'no, drawn',
        point.mean,
        point.lowest,
        point.highest,
      ]),
    }),
  };
}

type Curves = { name: string; k: number; points: NonNullable<SplitReport['curves'][number]> }[];

function rocChart(about: Context, curves: Curves): Chart {
  const { split, of } = about;
  const main = split.rows.find(({ name }) => name === split.main)!;
  const drawn = curves.filter(({ points }) => Number.isFinite(points[0]!.falsePositiveRate));
  return {
    kind: 'lines',
    id: of('roc'),
    title: 'ROC curve',
    alternative: `ROC curve of ${split.main}. Area under the curve: ${curves.map(({ name, k }) => `${name} ${withInterval(main.byClass.auroc[k]!)}`).join('; ')}.`,
    x: share('1 − specificity'),
    y: share('sensitivity'),
    series: [
      ...drawn.map(({ name, points }): Series => ({
        name,
        points: [
          [0, 0],
          ...thinned(points, mostPoints).map((p) => [p.falsePositiveRate, p.truePositiveRate] as const),
        ],
      })),
      { name: 'chance', points: [[0, 0], [1, 1]], style: 'reference' }, // prettier-ignore
    ],
    data: dataTable(about, {
      id: of('roc'),
      title: 'Data: ROC curve',
      columns: [
        { title: 'class' },
        ...['threshold', '1 − specificity', 'sensitivity'].map((title): Column => ({ title, kind: 'score' })),
      ],
      rows: drawn.flatMap(({ name, points }) =>
        thinned(points, mostRows).map((p): Cell[] => [
          name,
          p.threshold,
          p.falsePositiveRate,
          p.truePositiveRate,
        ]),
      ),
    }),
  };
}

function precisionChart(about: Context, curves: Curves): Chart {
  const { split, of } = about;
  const main = split.rows.find(({ name }) => name === split.main)!;
  return {
    kind: 'lines',
    id: of('precision'),
    title: 'Precision-recall curve',
    alternative: `Precision against recall of ${split.main}. Average precision: ${curves.map(({ name, k }) => `${name} ${withInterval(main.byClass.auprc[k]!)}`).join('; ')}.`,
    x: share('recall'),
    y: share('precision'),
    series: curves.map(({ name, points }) => ({
      name,
      style: 'step',
      points: thinned(points, mostPoints).map((p) => [p.truePositiveRate, p.precision] as const),
    })),
    data: dataTable(about, {
      id: of('precision'),
      title: 'Data: precision-recall curve',
      columns: [
        { title: 'class' },
        ...['threshold', 'recall', 'precision'].map((title): Column => ({ title, kind: 'score' })),
      ],
      rows: curves.flatMap(({ name, points }) =>
        thinned(points, mostRows).map((p): Cell[] => [name, p.threshold, p.truePositiveRate, p.precision]),
      ),
    }),
  };
}

function reliabilityChart(about: Context): Chart {
  const { split, of } = about;
  const filled = split.reliability.filter(({ scans }) => scans > 0);
  const { ece } = split.rows.find(({ name }) => name === split.main)!.scores;
  return {
    kind: 'lines',
    id: of('reliability'),
    title: 'Share of right answers against their probability',
    alternative: `Reliability of ${split.main} in ${filled.length} bins of the predicted class's probability. Expected calibration error: ${withInterval(ece)}.`,
    x: share('mean probability'),
    y: share('share right'),
    series: [
      {
        name: split.main,
        points: filled.map(({ confidence, accuracy }) => [confidence!, accuracy] as const),
        marked: true,
      },
      { name: 'well calibrated', points: [[0, 0], [1, 1]], style: 'reference' }, // prettier-ignore
    ],
    data: dataTable(about, {
      id: of('reliability'),
      title: 'Data: reliability',
      columns: [
        { title: 'mean probability', kind: 'score' },
        { title: 'share right', kind: 'score' },
        { title: 'scans', kind: 'count' },
      ],
      rows: filled.map(({ confidence, accuracy, scans }): Cell[] => [confidence, accuracy, scans]),
    }),
  };
}

function entropyChart(about: Context): Chart {
  const { split, of } = about;
  const counts = (right: boolean) => {
    const bins = new Array<number>(entropyBins).fill(0);
    for (const scan of split.doubt.scans)
      if ((scan.label === scan.predicted) === right)
        bins[Math.min(entropyBins - 1, Math.floor(scan.entropy * entropyBins))]! += 1;
    return bins;
  };
  const [right, wrong] = [counts(true), counts(false)];
  const names = right.map((_, i) => `${(i / entropyBins).toFixed(1)}–${((i + 1) / entropyBins).toFixed(1)}`);
  const high = Math.max(1, ...right.map((count, i) => count + wrong[i]!));
  return {
    kind: 'bars',
    id: of('entropy'),
    title: 'Scans by the entropy of their probabilities',
    alternative: `Number of scans that ${split.main} calls right and wrong in ten bins of the entropy, from sure (0) to undecided (1).`,
    x: { title: 'entropy', low: 0, high: entropyBins - 1, categories: names },
    y: { title: 'scans', low: 0, high: roundUp(high), whole: true },
    series: [
      { name: 'right', counts: right },
      { name: 'wrong', counts: wrong },
    ],
    data: dataTable(about, {
      id: of('entropy'),
      title: 'Data: scans by entropy',
      columns: [{ title: 'entropy' }, { title: 'right', kind: 'count' }, { title: 'wrong', kind: 'count' }],
      rows: names.map((name, i): Cell[] => [name, right[i]!, wrong[i]!]),
    }),
  };
}

function riskChart(about: Context): Chart {
  const { split, of } = about;
  const { riskCoverage } = split.doubt;
  const high = Math.max(0.05, Math.ceil(Math.max(...riskCoverage.map(({ risk }) => risk)) * 20) / 20);
  return {
    kind: 'lines',
    id: of('risk'),
    title: 'Share of errors among the surest answers',
    alternative: `Share of wrong answers of ${split.main} if only the surest scans are answered: ${riskCoverage
      .filter((_, i) => i % 5 === 4)
      .map(
        ({ coverage, risk }) =>
          `${(100 * coverage).toFixed(0)} % of the scans: ${(100 * risk).toFixed(1)} % wrong`,
      )
      .join('; ')}.`,
    x: share('share of scans answered'),
    y: { title: 'share wrong', low: 0, high },
    series: [
      {
        name: split.main,
        points: riskCoverage.map(({ coverage, risk }) => [coverage, risk] as const),
        marked: true,
      },
    ],
    data: dataTable(about, {
      id: of('risk'),
      title: 'Data: risk against coverage',
      columns: [
        { title: 'share of scans answered', kind: 'score' },
        { title: 'share wrong', kind: 'score' },
      ],
      rows: riskCoverage.map(({ coverage, risk }): Cell[] => [coverage, risk]),
    }),
  };
}

/** The next multiple of 1, 2, 5, 10, 20 … of about a tenth of the number. */
function roundUp(count: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(count, 10) / 10));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each * 10 >= count)!;
  return Math.ceil(count / step) * step;
}

/** At most so many of the items, evenly, the first and the last included. */
export function thinned<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items];
  return Array.from({ length: most }, (_, i) => items[Math.round((i * (items.length - 1)) / (most - 1))]!);
}
